"""`python -m local_sidecar`."""

from .cli import main

main()
