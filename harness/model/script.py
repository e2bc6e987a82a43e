"""What the stand-in model says: a pure function from a chat-completions request to a reply.

The request and reply shapes are those of https://platform.openai.com/docs/api-reference/chat.
A failure is asked for by the word `script:NAME` in the newest user message or in the model's name.
"""

import re
from dataclasses import dataclass
from typing import NotRequired, TypedDict

TIME_TOOL = "get_current_time"
SCRIPT = re.compile(r"script:([a-z0-9-]+)")
ECHO_CHARACTERS = 400  # enough to recognise a message by, small enough for a reply
RETRY_AFTER_SECONDS = 7

ERRORS: dict[str, tuple[int, str]] = {
    "400": (400, "bad request"),
    "401": (401, "incorrect API key provided"),
    "404": (404, "the model does not exist"),
    "429": (429, "rate limit reached"),
    "429-retry-after": (429, "rate limit reached"),
    "500": (500, "the server had an error"),
    "503": (503, "overloaded"),
}


class TextPart(TypedDict):
    """One part of a message's content, where it comes in parts."""

    type: str
    text: NotRequired[str]


class ChatMessage(TypedDict):
    """One message of a request; `content` is null beside tool calls."""

    role: str
    content: NotRequired[str | list[TextPart] | None]


class ToolFunction(TypedDict):
    """What a tool is called by."""

    name: str


class Tool(TypedDict):
    """A tool that the model may call."""

    type: str
    function: ToolFunction


class ChatRequest(TypedDict):
    """The fields of a chat-completions request that matter here."""

    model: str
    messages: list[ChatMessage]
    stream: NotRequired[bool]
    tools: NotRequired[list[Tool]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of the model: text, a refusal, or the call of a tool with its raw arguments."""

    text: str = ""
    refusal: bool = False
    tool: str = ""
    arguments: str = "{}"

    @property
    def finish_reason(self) -> str:
        """Why the model stopped, in the API's word."""
        return "tool_calls" if self.tool else "stop"

    @property
    def pieces(self) -> list[str]:
        """The text word by word, each with the space before it: what a stream sends."""
        return re.findall(r"\s*\S+", self.text)


def text_of(message: ChatMessage) -> str:
    """The message's text, whether its content is a string, parts or nothing."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def user_text(request: ChatRequest) -> str:
    """The newest user message's text, empty if there is none."""
    return next((text_of(message) for message in reversed(request["messages"]) if message["role"] == "user"), "")


def script_of(request: ChatRequest) -> str:
    """The failure asked for, by message or by model name; empty if none."""
    found = SCRIPT.search(user_text(request)) or SCRIPT.search(request["model"])
    return found.group(1) if found else ""


def reply_to(request: ChatRequest, script: str = "") -> Reply:
    """The one reply that this request gets, the tool round trip for the time included."""
    text = user_text(request)
    answered = request["messages"][-1]["role"] == "tool"
    if script == "refusal":
        return Reply(text="I cannot help with that.", refusal=True)
    if script == "endless-tools":
        return Reply(tool=TIME_TOOL)
    if script == "bad-tool-arguments" and not answered:
        return Reply(tool=TIME_TOOL, arguments="{not json")
    if script == "unknown-tool" and not answered:
        return Reply(tool="open_the_door")
    if answered:
        return Reply(text=f"The tool says: {text_of(request['messages'][-1])}")
    if asks_time(text) and TIME_TOOL in tool_names(request):
        return Reply(tool=TIME_TOOL)
    return Reply(text=f"You said: {text[:ECHO_CHARACTERS]}")


def asks_time(text: str) -> bool:
    """Whether the text asks for the time."""
    return re.search(r"\btime\b", text, re.IGNORECASE) is not None


def tool_names(request: ChatRequest) -> set[str]:
    """The names of the tools offered."""
    return {tool["function"]["name"] for tool in request.get("tools", [])}
