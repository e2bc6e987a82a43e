"""Reacts to the stop signal itself.

uvicorn runs the lifespan's shutdown only after all open requests have finished, and these requests wait for their
turns. So the turns must be stopped on the signal.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""The signals on which uvicorn stops."""


@contextmanager
def on_stop_signal(begin_stop: Callable[[], None]) -> Iterator[None]:
    """Within this context, call `begin_stop` in the event loop on each stop signal, before the server's handler runs.

    Only the main thread receives signals. In any other thread, as in a test client, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    server_handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin_stop)
        server_handler = server_handlers[signal.Signals(number)]
        if callable(server_handler):
            server_handler(number, frame)

    replaced = [number for number, handler in server_handlers.items() if callable(handler)]
    for number in replaced:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in replaced:
            if signal.getsignal(number) is handle:
                signal.signal(number, server_handlers[number])
