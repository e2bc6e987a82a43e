"""The kinds of values the store keeps."""

from typing import TypeAlias

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
Document: TypeAlias = dict[str, JSON]
"""What is kept under a key: an object."""
Entry: TypeAlias = dict[str, str]
"""What a log is made of: a message, or the naming of a session."""
