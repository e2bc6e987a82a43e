"""JSON bodies read as Dapr reads them: field names in any case, types strict, text after the JSON ignored."""

from local_sidecar.documents import Json
from local_sidecar.errors import ApiError, malformed
from local_sidecar.http import BODY_LIMIT_BYTES
from local_sidecar.state.values import Document, OddNumber

Fields = dict[str, Json]

_GO_TYPES = {
    str: "string",
    int: "number",
    float: "number",
    OddNumber: "number",
    bool: "bool",
    list: "array",
    dict: "object",
}


def document_of(body: bytes) -> Document:
    """The JSON of a request. Raises ApiError 400."""
    try:
        return Document(body[:BODY_LIMIT_BYTES].decode("utf-8", "replace"))
    except (ValueError, RecursionError) as problem:
        message = "stream too large" if len(body) > BODY_LIMIT_BYTES else str(problem)
        raise malformed(message) from problem


def items_of(value: Json) -> list[Json]:
    """An array; null is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_type(value, "array")
    return value


def fields_of(value: Json) -> Fields:
    """An object with its field names in lower case; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(value, "object")
    return {name.lower(): member for name, member in value.items()}


def strings_of(fields: Fields, name: str) -> dict[str, str]:
    """A field that is an object of strings; its names keep their case."""
    members = fields.get(name)
    if members is None:
        return {}
    if not isinstance(members, dict):
        raise wrong_type(members, "object")
    return {member: text_of(members, member) for member in members}


def text_of(fields: Fields, name: str) -> str:
    """A field that is a string; missing and null are empty."""
    value = fields.get(name)
    if not isinstance(value, str | None):
        raise wrong_type(value, "string")
    return value or ""


def wrong_type(value: Json, wanted: str) -> ApiError:
    """The refusal of a value of another type."""
    return malformed(f"json: cannot unmarshal {_GO_TYPES[type(value)]} where a value of type {wanted} belongs")
