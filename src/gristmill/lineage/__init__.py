"""Who wrote what, from what, under which license. Pure."""
