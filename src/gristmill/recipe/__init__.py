"""The recipe: one typed model of what the user wants, read from YAML with the place of every mistake."""
