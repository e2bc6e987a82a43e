"""The form of the service's log lines."""

import logging


def configure_logging() -> None:
    """Log to stderr from level INFO, with time, level and logger name."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
