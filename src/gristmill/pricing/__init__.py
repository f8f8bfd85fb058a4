"""What a call costs, and what a budget still allows. Pure."""
