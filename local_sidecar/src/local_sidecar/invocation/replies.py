"""The head of an app's answer as the caller gets it."""

from local_sidecar.http import JSON_TYPE, TEXT_TYPE, Headers, Request
from local_sidecar.invocation.forwarding import passed_on, returned_trace
from local_sidecar.invocation.reply import Reply

EVENT_STREAM = b"text/event-stream"
SNIFFED_BYTES = 512  # as many as Go looks at to guess a type
_CONTROL_BYTES = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b"))


class NoEvents(Exception):
    """A stream of events was asked for and the app answered with something else, or nothing."""

    def __init__(self) -> None:
        super().__init__("no response received from stream")


def wants_events(request: Request) -> bool:
    """Whether the caller accepts a stream of events and nothing else."""
    return (request.header(b"accept") or b"").strip().lower() == EVENT_STREAM


def answer_headers(request: Request, reply: Reply, start: bytes, events: bool) -> Headers:
    """The headers of an answer, with the type Dapr gives to one that has none, from its first bytes."""
    headers = passed_on(reply.headers) + returned_trace(request)
    headers += [header for header in reply.headers if header[0] == b"content-length"]
    if events:
        headers = [header for header in headers if header[0] not in (b"content-type", b"cache-control")]
        return [*headers, (b"content-type", EVENT_STREAM), (b"cache-control", b"no-cache")]
    if not any(name == b"content-type" for name, _ in headers):
        headers += _guessed_type(request, reply.status, start)
    return headers


def _guessed_type(request: Request, status: int, start: bytes) -> Headers:
    if not 200 <= status < 400 and request.header(b"transfer-encoding") is None:
        return [JSON_TYPE]
    if not start:
        return []
    binary = start[:SNIFFED_BYTES].translate(None, _CONTROL_BYTES) != start[:SNIFFED_BYTES]
    return [(b"content-type", b"application/octet-stream")] if binary else [TEXT_TYPE]
