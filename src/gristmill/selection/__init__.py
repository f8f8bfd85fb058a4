"""Which accepted samples are kept, and by which rule each of the others is not. Pure."""
