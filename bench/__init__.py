"""Measures what a turn costs, in this system and in the tutorial's."""
