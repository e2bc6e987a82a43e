"""A stand-in for an OpenAI-compatible endpoint, with deterministic replies and scripted failures."""
