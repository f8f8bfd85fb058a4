"""The one room that opens data files."""
