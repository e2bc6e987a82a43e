"""The replies of the offline model: a pure function from its input to a reply or a tool call."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.prompts import SUMMARY_INSTRUCTIONS, InstructionData, SummaryTask, read_chat_instructions, read_summary_task
from memory_models import ConversationEntry, Profile

TIME_TOOL = "get_current_time"
"""The tool for the time. The offline model calls a tool only if it is offered."""
MAX_QUOTE_CHARS = 80
"""Longest quote of a message in a reply, in characters: about one line."""
MAX_OFFLINE_SUMMARY_CHARS = 1_500
"""Longest summary, in characters: below MAX_SUMMARY_CHARS, so that it is never cut inside a quote."""

_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_LAST_MESSAGES = re.compile(r"\b(?:last|previous)\s+(?:(\d+|[a-z]+)\s+)?(messages?)\b")
_TIME = re.compile(r"\bwhat(?:'s|\u2019s| is)? (?:the )?(?:current )?time\b|\btime is it\b|\bcurrent time\b")
_GREETING = re.compile(r"(?:hello|hi|hey|greetings|good (?:morning|afternoon|evening|day))\b")
_TALKED = re.compile(r"\btalk(?:ed|ing)? about\b|\bdiscuss(?:ed)?\b|\bour conversation\b")
_REMEMBER = re.compile(r"(?:please,? )?(?:remember|note)(?: that|:)?\s+(?!me\b)(?P<fact>.+)", re.IGNORECASE | re.DOTALL)
_FORGET = re.compile(
    r"(?:please,? )?forget(?: about| that|:)?\s+(?:(?:the|my|about)\s+)?(?P<fact>.+)", re.IGNORECASE | re.DOTALL
)
_PROFILE_CHANGES = (
    ("name", re.compile(r"(?:please,? )?(?:call me|my name is)\s+(?P<value>[^?]+)", re.IGNORECASE)),
    ("goal", re.compile(r"my (?:new )?goal is(?: to)?\s+(?P<value>[^?]+)", re.IGNORECASE)),
    ("preferred_style", re.compile(r"(?:please,? )?(?:use|i prefer) an? (?P<value>[\w ]+?) style", re.IGNORECASE)),
)
_ORDINARY = (
    (re.compile(r"(?:thanks|thank you|thx)\b"), "You are welcome, {name}."),
    (re.compile(r"(?:bye|goodbye|good night|see you)\b"), "Goodbye, {name}. What we said is kept."),
    (re.compile(r"how are you\b"), "I am running, {name}, though without a model behind me."),
    (re.compile(r"(?:who|what) are you\b"), "I am a stand-in for a language model: I follow a few fixed rules."),
    (re.compile(r"(?:yes|no|ok|okay|sure|fine|great|good)\b[.! ]*$"), "All right, {name}."),
    (re.compile(r"(?:i|i'm|i\u2019m|we|my|our)\s"), "I have read that, {name}, and it is in our conversation."),
)
"""What ordinary sentences begin with, in lower case, and the reply to them."""
_KNOWN = re.compile(r"\bknow about me\b|\bwho am i\b|\bmy name\b|\bmy goal\b|\bremember (?:about )?me\b")

CAPABILITIES = (
    "I am the offline model, so I cannot answer that. I can greet you, tell the time, say what I know about you and "
    "what we have talked about, list your last messages, and remember or forget what you tell me to. For a real model "
    "set GEMINI_API_KEY, or LLM_MODEL with LLM_BASE_URL and LLM_API_KEY, and start the service again."
)
"""The reply to every message that the offline model cannot answer."""
OFFLINE_NOTE = (
    'I am the offline model: I can remember what you tell me to ("remember that I like tea"), but not converse.'
)
"""Ends the reply to an ordinary sentence."""


@dataclass(frozen=True)
class OfflineInput:
    """The messages, oldest first, and the result of a tool call if it is the last item of the input, with its tool."""

    messages: Sequence[ConversationEntry]
    tool_output: str | None
    tool: str = TIME_TOOL


@dataclass(frozen=True)
class OfflineCall:
    """A call of a tool."""

    tool: str
    arguments: Mapping[str, str] = field(default_factory=dict)


def reply_to(instructions: str | None, given: OfflineInput, tools: Sequence[str]) -> str | OfflineCall:
    """The reply, or a call of one of the tools."""
    asked = next((it.content for it in reversed(given.messages) if it.role == "user"), "")
    if instructions == SUMMARY_INSTRUCTIONS:
        task = read_summary_task(asked)
        return CAPABILITIES if task is None else _summary(task)
    known = read_chat_instructions(instructions or "")
    if given.tool_output is not None:
        return _of_tool(given.tool, given.tool_output, known)
    call = _call(asked.strip())
    if call is not None and call.tool in tools:
        return call
    earlier = [it.content for it in given.messages if it.role == "user"][:-1]
    return _conversation(asked.strip().lower(), known, earlier, can_tell_time=TIME_TOOL in tools)


def _call(asked: str) -> OfflineCall | None:
    """The change of memory that a message asks for."""
    if (fact := _REMEMBER.fullmatch(asked)) is not None:
        return OfflineCall("remember", {"fact": fact["fact"]})
    if (fact := _FORGET.fullmatch(asked)) is not None:
        return OfflineCall("forget", {"fact": fact["fact"].rstrip(" .!")})
    for name, pattern in _PROFILE_CHANGES:
        if (change := pattern.match(asked)) is not None:
            return OfflineCall("change_profile", {"field": name, "value": change["value"].rstrip(" .!")})
    return None


def _of_tool(tool: str, output: str, known: InstructionData | None) -> str:
    if tool == TIME_TOOL:
        return _time_in_words(output, known)
    return f"{output.rstrip('.')}. (The offline model did what you asked, word for word.)"


def _conversation(
    asked: str, known: InstructionData | None, earlier: Sequence[str], *, can_tell_time: bool
) -> str | OfflineCall:
    if (wanted := _LAST_MESSAGES.search(asked)) is not None:
        return _last_messages(wanted[1], wanted[2] == "message", earlier)
    talked, about_me = _TALKED.search(asked), _KNOWN.search(asked)
    if talked or about_me:
        parts = [_talked_about(known, earlier)] if talked else []
        return " ".join([*parts, *([_known_of(known)] if about_me else [])])
    if can_tell_time and _TIME.search(asked):
        return OfflineCall(TIME_TOOL)
    if _GREETING.match(asked) and known is not None:
        return _greeting(known.profile)
    name = known.profile.name if known else "friend"
    for beginning, reply in _ORDINARY:
        if beginning.match(asked):
            return f"{reply.format(name=name)} {OFFLINE_NOTE}"
    return CAPABILITIES


def _greeting(profile: Profile) -> str:
    if "formal" in _words(profile.preferred_style):
        return f"Hello {profile.name}, how may I help you today?"
    return f"Hi {profile.name}! What can I do for you?"


def _time_in_words(tool_output: str, known: InstructionData | None) -> str:
    if known is not None and "formal" in _words(known.profile.preferred_style):
        return f"The current time is {tool_output}. How may I further assist you?"
    return f"The current time is {tool_output}. Anything else?"


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _last_messages(number: str | None, singular: bool, earlier: Sequence[str]) -> str:
    wanted = _number(number) or (1 if singular else len(earlier))
    listed = earlier[-wanted:]
    if not listed:
        return "This is your first message in this session."
    if len(listed) == 1:
        heading = "Your last message was:" if wanted == 1 else "You have sent only one message before this one:"
    elif len(listed) < wanted:
        heading = f"You have sent only {_in_words(len(listed))} messages before this one that I can see:"
    else:
        heading = f"Your last {_in_words(len(listed))} messages were:"
    return heading + "\n\n" + "\n".join(f'{place}. "{text}"' for place, text in enumerate(listed, 1))


def _number(word: str | None) -> int | None:
    if word is None:
        return None
    if word.isdecimal():
        return int(word[:3])
    return _NUMBERS.index(word) if word in _NUMBERS else None


def _in_words(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def _talked_about(known: InstructionData | None, earlier: Sequence[str]) -> str:
    summary = known.summary if known else None
    if not earlier and summary is None:
        return "We have just begun our conversation."
    parts = [f"Earlier in our conversation: {summary}"] if summary else []
    if earlier:
        parts.append(f"You wrote to me: {_listed(earlier)}.")
    return " ".join(parts)


def _known_of(known: InstructionData | None) -> str:
    if known is None:
        return "I have no information about you."
    profile = known.profile
    facts = f"I remember: {_listed(known.facts)}." if known.facts else "I have no other information about you."
    return (
        f"I know your name is {profile.name} and that your goal is to {profile.goal}. "
        f"You prefer a {profile.preferred_style} style. {facts}"
    )


def _summary(task: SummaryTask) -> str:
    """The summary so far and what the user wrote since. If it gets too long, the oldest part is cut off."""
    written = [it.content for it in task.messages if it.role != "assistant"]
    start = "The user wrote: "
    so_far = (task.summary or "").removeprefix(start).removesuffix(".")
    quoted = "; ".join([*([so_far] if so_far else []), *([_listed(written)] if written else [])])
    if len(quoted) > MAX_OFFLINE_SUMMARY_CHARS:
        quoted = "... " + quoted[-MAX_OFFLINE_SUMMARY_CHARS:].partition("; ")[2]
    return f"{start}{quoted}."


def _listed(texts: Sequence[str]) -> str:
    return "; ".join(f'"{text[:MAX_QUOTE_CHARS]}..."' if len(text) > MAX_QUOTE_CHARS else f'"{text}"' for text in texts)
