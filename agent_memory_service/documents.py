"""The types of the values in the store."""

from typing import TypeAlias

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
Document: TypeAlias = dict[str, JSON]
"""The value of a key: a JSON object."""
Entry: TypeAlias = dict[str, str]
"""One entry of a log: a message of a session, or a session of a list. A message can hold `stopped`: true too."""
