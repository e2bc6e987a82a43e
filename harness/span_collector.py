"""A collector of spans for tests: an OTLP/HTTP receiver, for services and for the sidecars of Dapr."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

WAIT_SECONDS = 20.0
"""How long a wait for spans may take, in seconds: services send them in batches."""


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span. Its ids are in hexadecimal; `parent_id` is empty for the root of a trace."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, str]


class SpanCollector:
    """Receives spans while it is entered. `endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT must say."""

    def __init__(self) -> None:
        self._spans: list[CollectedSpan] = []
        self._received: list[bytes] = []
        self._changed = threading.Condition()
        collector = self

        class Receiver(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                is_traces = self.path == "/v1/traces"
                if is_traces:
                    collector._add(body)
                self.send_response(200 if is_traces else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def received(self) -> bytes:
        """All that was sent, as it came: texts and ids would be readable in it."""
        with self._changed:
            return b"\n".join(self._received)

    def of_trace(self, trace_id: str, is_whole: Callable[[Sequence[CollectedSpan]], bool]) -> Sequence[CollectedSpan]:
        """Wait until the spans of a trace are whole, and return them. Raises TimeoutError."""
        found: list[CollectedSpan] = []

        def complete() -> bool:
            found[:] = [span for span in self._spans if span.trace_id == trace_id]
            return is_whole(found)

        with self._changed:
            if not self._changed.wait_for(complete, WAIT_SECONDS):
                raise TimeoutError(f"only these spans came: {found}")
        return found

    def _add(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            CollectedSpan(
                _values(resource.resource.attributes).get("service.name", ""),
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                _values(span.attributes),
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._changed:
            self._received.append(body)
            self._spans += spans
            self._changed.notify_all()


def _values(attributes: Sequence[KeyValue]) -> dict[str, str]:
    """Attributes by their keys. A number or a list is given as its text."""
    return {
        item.key: item.value.string_value if item.value.HasField("string_value") else str(item.value)
        for item in attributes
    }
