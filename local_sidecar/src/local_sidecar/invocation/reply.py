"""An app's answer, parsed as its bytes arrive."""

from collections import deque

import httptools

from local_sidecar.http import Headers


class ChannelBroken(Exception):
    """The app closed the connection, or what it said is not HTTP."""


class Reply:
    """An app's answer while it arrives: the parser's callbacks fill it."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: Headers = []
        self.has_head = False
        self.complete = False
        self.keeps_open = False
        self.parts: deque[bytes] = deque()
        self.buffered = 0
        self._without_body = method == "HEAD"
        self._sized = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket. Raises ChannelBroken when they are not HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError as problem:
            raise ChannelBroken(f"malformed HTTP response: {problem}") from problem

    def end_of_input(self) -> None:
        """The app closed: the end of a body whose length it never told."""
        self.complete = self.complete or (self.has_head and not self._sized)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: one header."""
        name = name.lower()
        self._sized = self._sized or name in (b"content-length", b"transfer-encoding")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Parser: the head is whole."""
        self.status = self._parser.get_status_code()
        if self.status < 200:  # an interim answer: the real one follows
            self.headers = []
            return
        self.has_head = True
        self.keeps_open = self._parser.should_keep_alive()
        self.complete = self._without_body

    def on_body(self, body: bytes) -> None:
        """Parser: a part of the body."""
        self.parts.append(body)
        self.buffered += len(body)

    def on_message_complete(self) -> None:
        """Parser: the end of the body."""
        self.complete = self.has_head
