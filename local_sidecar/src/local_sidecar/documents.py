"""YAML files and JSON texts as Python values."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import yaml

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Table = dict[str, Json]


class UnreadableFile(Exception):
    """The file cannot be read, or is not YAML. The text says why, in one line."""


def yaml_documents(file: Path) -> Iterator[Json]:
    """The documents of a YAML file. Raises UnreadableFile."""
    try:
        yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableFile(" ".join(str(error).split())) from error


def mapping_in(table: Table, field: str) -> Table:
    """The mapping in a field, empty when there is none."""
    value = table.get(field)
    return value if isinstance(value, dict) else {}
