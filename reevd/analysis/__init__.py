"""What many runs say together: rates, comparisons, what is not steady. Pure."""
