"""Data that ships: prompt templates."""
