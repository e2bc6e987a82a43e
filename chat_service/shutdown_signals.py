"""Hearing that the service is to stop when the signal comes.

The server ends the lifespan only once every open request is answered, and those wait for the turns: whoever waits for
the lifespan to end the turns waits for ever.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def heard(begin_stop: Callable[[], None]) -> Iterator[None]:
    """While this is open, `begin_stop` is called in the event loop at each signal to stop, before the server's.

    Only the main thread has signals: in any other, as in a test client, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def hear(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin_stop)
        servers = before[signal.Signals(number)]
        if callable(servers):
            servers(number, frame)

    replaced = [number for number, handler in before.items() if callable(handler)]
    for number in replaced:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in replaced:
            if signal.getsignal(number) is hear:
                signal.signal(number, before[number])
