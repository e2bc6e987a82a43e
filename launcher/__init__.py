"""What `make run` does: it checks, starts both services with their sidecars, and prints when they are ready."""
