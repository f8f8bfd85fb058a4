"""What runs within the walls: plain modules with no import but the standard library, sent in as text."""
