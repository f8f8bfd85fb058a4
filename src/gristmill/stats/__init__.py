"""Estimates with their uncertainty. Pure."""
