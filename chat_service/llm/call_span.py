"""The span of one call to the model, with the attributes that OpenTelemetry agreed on for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/ . What was asked and replied is not in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from opentelemetry.trace import Span, SpanKind

from llm.run_record import last_finish
from tracing import detached_span

OPENAI = "openai"
"""The provider that is named for every endpoint: the agreement asks for the API's, not for whose model it is."""


class TokenUsage(Protocol):
    """The tokens of one call."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


@contextmanager
def call_span(model: str, provider: str = OPENAI) -> Iterator[Span]:
    """The span of a call to this model."""
    with detached_span(f"chat {model}", SpanKind.CLIENT) as span:
        span.set_attributes(
            {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
        )
        yield span


def note_reply_of(span: Span, usage: TokenUsage | None) -> None:
    """Add what is known of the reply: its finish reason, and its tokens if the endpoint counts them."""
    finish = last_finish()
    if finish is not None:
        span.set_attribute("gen_ai.response.finish_reasons", (finish,))
    if usage is not None and usage.input_tokens + usage.output_tokens > 0:
        span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
