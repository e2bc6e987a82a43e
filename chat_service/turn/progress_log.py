"""What a running turn has given so far: pieces of the reply and tool calls, for every client that streams it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator

from agent.progress import Delta, Progress


class ProgressLog:
    """Keeps a turn's progress from its beginning, so that a client that joins later misses nothing.

    It holds no more text than the reply itself, whose length the model's transport bounds.
    """

    def __init__(self) -> None:
        self._all: list[Progress] = []
        self._has_ended = False
        self._changed = asyncio.Event()

    @property
    def text(self) -> str:
        """The reply so far."""
        return "".join(progress.text for progress in self._all if isinstance(progress, Delta))

    def add(self, progress: Progress) -> None:
        """Add what the turn gave."""
        self._all.append(progress)
        self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        self._has_ended = True
        self._wake()

    async def begin(self) -> None:
        """Wait for the first progress."""
        while not self._all:
            await self._changed.wait()

    async def read(self, *, is_joining: bool) -> AsyncIterator[Progress]:
        """All progress from the beginning, until the end. One who joins gets the text that is there already joined."""
        position = len(self._all) if is_joining else 0
        for progress in _joined(self._all[:position]):
            yield progress
        while True:
            while position < len(self._all):
                yield self._all[position]
                position += 1
            if self._has_ended:
                return
            await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _joined(progress: Iterable[Progress]) -> Iterator[Progress]:
    """The same progress, with consecutive pieces of text as one."""
    pieces: list[str] = []
    for item in progress:
        if isinstance(item, Delta):
            pieces.append(item.text)
            continue
        if pieces:
            yield Delta("".join(pieces))
            pieces = []
        yield item
    if pieces:
        yield Delta("".join(pieces))
