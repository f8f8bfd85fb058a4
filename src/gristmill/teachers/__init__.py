"""Teachers: one adapter per way to get an answer, all behind the same port."""
