"""Documents: files whose text is what matters, read one at a time and cut into passages."""
