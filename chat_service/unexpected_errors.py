"""Reports errors that nobody expected, by their type and place only: the text of an error can hold a conversation."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

logger = logging.getLogger("chat_service.unexpected")


def described(error: BaseException) -> str:
    """The error's type and the line that raised it, without its text."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"


@contextmanager
def loop_errors_without_contents() -> Iterator[None]:
    """Within this context the event loop reports lost exceptions without their text.

    asyncio's own report prints the exception and the arguments of its callback.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(_report)
    try:
        yield
    finally:
        loop.set_exception_handler(before)


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # asyncio's own type
    error = context.get("exception")
    if isinstance(error, BaseException):
        logger.error("an exception was lost: %s", described(error))
    else:
        logger.error("the event loop reports: %s", context.get("message"))
