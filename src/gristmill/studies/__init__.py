"""Experiments over runs: each uses `api` as a person would."""
