"""The deployment's tests: manifests, images and compose file against the code, and what they read all that with."""
