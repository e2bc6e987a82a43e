"""The replies of the stand-in model: a pure function from a chat-completions request to a reply.

The request and reply shapes are those of https://platform.openai.com/docs/api-reference/chat.
The word `script:NAME` in the newest user message or in the model's name asks for a failure.
"""

import re
from dataclasses import dataclass
from typing import NotRequired, TypedDict

TIME_TOOL = "get_current_time"
"""The tool that is called when the user asks for the time."""

SCRIPT = re.compile(r"script:([a-z0-9-]+)")

ECHO_CHARS = 400
"""How much of a message a reply repeats: enough to recognise the message, and short enough for a reply."""

RETRY_AFTER_SECONDS = 7
"""The Retry-After of the scripts that send one."""

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
    """One part of a message's content, if the content is a list."""

    type: str
    text: NotRequired[str]


class ChatMessage(TypedDict):
    """One message of a request. `content` is null in a message with tool calls."""

    role: str
    content: NotRequired[str | list[TextPart] | None]


class ToolFunction(TypedDict):
    """The name of a tool."""

    name: str


class Tool(TypedDict):
    """A tool that the model may call."""

    type: str
    function: ToolFunction


class ChatRequest(TypedDict):
    """The fields of a chat-completions request that are read here."""

    model: str
    messages: list[ChatMessage]
    stream: NotRequired[bool]
    tools: NotRequired[list[Tool]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of the model: text, a refusal, or the call of a tool with its raw arguments."""

    text: str = ""
    cut: str = ""
    refusal: bool = False
    tool: str = ""
    arguments: str = "{}"

    @property
    def finish_reason(self) -> str:
        """The API's `finish_reason`."""
        return "tool_calls" if self.tool else self.cut or "stop"

    @property
    def pieces(self) -> list[str]:
        """The pieces that a stream sends: the text word by word, each with the space before it."""
        return re.findall(r"\s*\S+", self.text)


def text_of(message: ChatMessage) -> str:
    """Return the message's text. Its content may be a string, a list of parts or null."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def user_text(request: ChatRequest) -> str:
    """Return the newest user message's text, or an empty one."""
    return next((text_of(message) for message in reversed(request["messages"]) if message["role"] == "user"), "")


def script_of(request: ChatRequest) -> str:
    """Return the name of the failure that the message or the model's name asks for, or an empty one."""
    found = SCRIPT.search(user_text(request)) or SCRIPT.search(request["model"])
    return found.group(1) if found else ""


def reply_to(request: ChatRequest, script: str = "") -> Reply:
    """Return the reply to a request: a failure, the call of the time tool, or an echo."""
    text = user_text(request)
    after_tool = request["messages"][-1]["role"] == "tool"
    if script == "refusal":
        return Reply(text="I cannot help with that.", refusal=True)
    if script in ("length", "content-filter"):
        return Reply(text="The first part", cut=script.replace("-", "_"))
    if script == "endless-tools":
        return Reply(tool=TIME_TOOL)
    if script == "bad-tool-arguments" and not after_tool:
        return Reply(tool=TIME_TOOL, arguments="{not json")
    if script == "unknown-tool" and not after_tool:
        return Reply(tool="open_the_door")
    if after_tool:
        return Reply(text=f"The tool says: {text_of(request['messages'][-1])}")
    if asks_time(text) and TIME_TOOL in tool_names(request):
        return Reply(tool=TIME_TOOL)
    return Reply(text=f"You said: {text[:ECHO_CHARS]}")


def asks_time(text: str) -> bool:
    """Return whether the text asks for the time."""
    return re.search(r"\btime\b", text, re.IGNORECASE) is not None


def tool_names(request: ChatRequest) -> set[str]:
    """Return the names of the tools that the request offers."""
    return {tool["function"]["name"] for tool in request.get("tools", [])}
