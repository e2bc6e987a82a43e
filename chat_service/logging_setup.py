"""The service's log: lines to stderr."""

import logging


def configure_logging() -> None:
    """Log to stderr from INFO on.

    The HTTP clients are silenced: they log a line for every call, and the openai client logs text of the endpoint.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
