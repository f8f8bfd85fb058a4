"""Trains the built-in teacher and student that ship in the wheel; see README.md."""
