"""Starts the system in real processes, for `tests/` and `bench/`: processes, sidecars, services, a stand-in model."""
