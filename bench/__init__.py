"""What a turn costs, here and in the tutorial's code."""
