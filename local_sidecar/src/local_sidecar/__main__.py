"""`python -m local_sidecar`."""

from local_sidecar.cli import main

main()
