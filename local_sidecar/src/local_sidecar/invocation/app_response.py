"""An app's response, parsed as its bytes arrive."""

from collections import deque

import httptools

from local_sidecar.http import Headers


class BrokenConnection(Exception):
    """The app closed the connection, or sent bytes that are not HTTP."""


class AppResponse:
    """An app's response while it arrives. The parser's callbacks fill in its fields."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: Headers = []
        self.has_head = False
        self.complete = False
        self.keeps_open = False
        self.parts: deque[bytes] = deque()
        self.buffered = 0
        self._without_body = method == "HEAD"
        self._has_length = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Parse bytes from the socket. Raises BrokenConnection when they are not HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError as error:
            raise BrokenConnection(f"malformed HTTP response: {error}") from error

    def end_of_input(self) -> None:
        """Handle the app closing the connection, which completes a body without a declared length."""
        self.complete = self.complete or (self.has_head and not self._has_length)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback: one header."""
        name = name.lower()
        self._has_length = self._has_length or name in (b"content-length", b"transfer-encoding")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Parser callback: status and headers are complete."""
        self.status = self._parser.get_status_code()
        if self.status < 200:  # an interim response such as 100; the final one follows
            self.headers = []
            return
        self.has_head = True
        self.keeps_open = self._parser.should_keep_alive()
        self.complete = self._without_body

    def on_body(self, body: bytes) -> None:
        """Parser callback: a part of the body."""
        self.parts.append(body)
        self.buffered += len(body)

    def on_message_complete(self) -> None:
        """Parser callback: the body is complete."""
        self.complete = self.has_head
