"""Reads JSON that an endpoint sent."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

MAX_DEPTH = 32
"""Deepest nesting that is read. A chat completion nests about eight deep; libraries fail at some hundred."""


class UnreadableJson(ValueError):
    """The text is not JSON, or is nested deeper than MAX_DEPTH."""


def read_json(text: str | bytes) -> Json:
    """The JSON value in this text. Raises UnreadableJson."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableJson("not JSON") from error
    _check_depth(value, MAX_DEPTH)
    return value


def _check_depth(value: Json, depth_left: int) -> None:
    if depth_left == 0:
        raise UnreadableJson("nested too deeply")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, depth_left - 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, depth_left - 1)
