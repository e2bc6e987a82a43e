"""Decoded JSON bodies, read as Dapr reads them: field names in any case, and types without conversion."""

from local_sidecar.documents import Json
from local_sidecar.errors import ApiError, malformed
from local_sidecar.http import BODY_LIMIT_BYTES
from local_sidecar.state.encodings import Encoding, OddNumber
from local_sidecar.state.json_values import Document

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


def document_of(body: bytes, encoding: Encoding) -> Document:
    """The JSON of a request's body. Raises ApiError 400."""
    try:
        return Document(body[:BODY_LIMIT_BYTES].decode("utf-8", "replace"), encoding)
    except (ValueError, RecursionError) as error:
        message = "stream too large" if len(body) > BODY_LIMIT_BYTES else str(error)
        raise malformed(message) from error


def items_of(value: Json) -> list[Json]:
    """An array. Null is an empty one. Raises ApiError 400."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong_type(value, "array")
    return value


def fields_of(value: Json) -> Fields:
    """An object with its field names in lower case. Null is an empty one. Raises ApiError 400."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(value, "object")
    return {name.lower(): member for name, member in value.items()}


def strings_of(fields: Fields, name: str) -> dict[str, str]:
    """A field that is an object of strings, with the names as they are. Raises ApiError 400."""
    members = fields.get(name)
    if members is None:
        return {}
    if not isinstance(members, dict):
        raise wrong_type(members, "object")
    return {member: text_of(members, member) for member in members}


def text_of(fields: Fields, name: str) -> str:
    """A field that is a string. A missing one and null are empty. Raises ApiError 400."""
    value = fields.get(name)
    if not isinstance(value, str | None):
        raise wrong_type(value, "string")
    return value or ""


def wrong_type(value: Json, wanted: str) -> ApiError:
    """The error for a value of another type than the wanted one."""
    return malformed(f"json: cannot unmarshal {_GO_TYPES[type(value)]} where a value of type {wanted} belongs")
