"""Reads server-sent events from bytes. Pure: bytes in, events out.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_EVENT_BYTES = 1024 * 1024
"""Largest event, in bytes. A piece of a reply takes some hundred bytes, a whole reply in one event about 500 KB."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event is larger than MAX_EVENT_BYTES."""


@dataclass(frozen=True)
class ServerSentEvent:
    """One event that has data. `name` is empty if the event has none."""

    name: str
    data: str


class EventReader:
    """Collects the bytes of a stream into events. Comments, ids and blocks without data are skipped."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._is_first_line = True
        self._ended_with_cr = False

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """The events that this chunk completes. Raises EventTooLarge."""
        if self._ended_with_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a line end that was cut in two
        self._ended_with_cr = chunk.endswith(b"\r") or (self._ended_with_cr and not chunk)
        first, *others = _LINE_END.split(chunk)
        self._rest += first
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise EventTooLarge
        for following in others:
            line, self._rest = bytes(self._rest), bytearray(following)
            event = self._read_line(line)
            if event is not None:
                yield event

    def end(self) -> Iterator[ServerSentEvent]:
        """The event that the end of the stream completes, if its last line is whole."""
        yield from self.feed(b"\n\n")

    def _read_line(self, line: bytes) -> ServerSentEvent | None:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        self._size += len(line)
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event = ServerSentEvent(self._name, "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event
