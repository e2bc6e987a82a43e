"""Tests of the whole system in real processes."""
