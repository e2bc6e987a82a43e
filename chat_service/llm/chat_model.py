"""The agents SDK's chat model, with tool arguments made well-formed before the SDK reads them."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from agents import ModelResponse, OpenAIChatCompletionsModel
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseFunctionToolCall, ResponseOutputItemDoneEvent

from llm.call_span import call_span, note_reply_of
from llm.json_values import UnreadableJson, read_json
from llm.well_formed import all_well_formed, may_hold_surrogates


class ChatModel(OpenAIChatCompletionsModel):
    """Replaces lone surrogates inside tool arguments, which are JSON within JSON. The SDK fails on them."""

    async def get_response(self, *args: Any, **params: Any) -> ModelResponse:  # the SDK defines the parameters
        """The whole response."""
        with call_span(str(self.model)) as span:
            response = await super().get_response(*args, **params)
            note_reply_of(span, response.usage)
        for item in response.output:
            _mend(item)
        return response

    async def stream_response(self, *args: Any, **params: Any) -> AsyncIterator[TResponseStreamEvent]:
        """The response in pieces."""
        events = super().stream_response(*args, **params)
        with call_span(str(self.model)) as span:
            try:
                async for event in events:
                    if isinstance(event, ResponseOutputItemDoneEvent):
                        _mend(event.item)
                    elif isinstance(event, ResponseCompletedEvent):
                        note_reply_of(span, event.response.usage)
                        for item in event.response.output:
                            _mend(item)
                    yield event
            finally:
                if isinstance(events, AsyncGenerator):
                    await events.aclose()


def _mend(item: TResponseOutputItem) -> None:
    if isinstance(item, ResponseFunctionToolCall) and may_hold_surrogates(item.arguments):
        item.arguments = _well_formed_json(item.arguments)


def _well_formed_json(text: str) -> str:
    try:
        return json.dumps(all_well_formed(read_json(text)))
    except UnreadableJson:
        return text  # the SDK reports it
