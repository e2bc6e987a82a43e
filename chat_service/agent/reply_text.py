"""The text of a reply that grows piece by piece, over one or more model calls."""

from typing import TypeVar

from agents import Agent, ModelResponse, RunContextWrapper, RunHooks
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

PART_SEPARATOR = "\n\n"
"""Stands between the text before a tool call and the text after it, so that they do not run into each other."""

Context = TypeVar("Context")


class ReplyText:
    """Joins the texts of a run's model calls in their order. What it gives out piece by piece is the whole text.

    A text that is blank, as some models send before a tool call, is left out.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._blank = ""
        self._is_part_begun = False

    def add(self, piece: str) -> str:
        """Add a piece of the current part. Returns what the whole text grew by; empty while the part is blank."""
        if not self._is_part_begun:
            self._blank += piece
            if not self._blank.strip():
                return ""
            piece, self._blank = self._blank, ""
            self._is_part_begun = True
            if self._pieces:
                piece = PART_SEPARATOR + piece
        self._pieces.append(piece)
        return piece

    def begin_part(self) -> None:
        """The next piece is of another model call."""
        self._is_part_begun, self._blank = False, ""

    @property
    def is_part_blank(self) -> bool:
        """Whether the current part has no text so far."""
        return not self._is_part_begun

    def __str__(self) -> str:
        return "".join(self._pieces)


class ReplyTextHooks(RunHooks[Context]):
    """Adds the text of each model call of a run. A refusal is part of the reply."""

    def __init__(self, text: ReplyText) -> None:
        self._text = text

    async def on_llm_end(
        self, _context: RunContextWrapper[Context], _agent: Agent[Context], response: ModelResponse
    ) -> None:
        """Add the text of this call."""
        self._text.begin_part()
        for item in response.output:
            for part in item.content if isinstance(item, ResponseOutputMessage) else ():
                self._text.add(part.text if isinstance(part, ResponseOutputText) else part.refusal)
