"""What Dapr does with bodies: which ones it refuses, and how a stored value changes."""

import json

import httpx

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None

LARGEST_EXACT_INTEGER = 2**53
"""Dapr decodes numbers into doubles; larger integers change."""


_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Refused(Exception):
    """A request to which Dapr responds with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = httpx.Response(status, json={"errorCode": code, "message": message})


def stored(value: JSON) -> JSON:
    """A value after Dapr stored it: floats have six decimals, whole floats become integers."""
    if isinstance(value, dict):
        return {key: stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [stored(item) for item in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, 6)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_EXACT_INTEGER:
        return int(float(value))
    return value


def encoded(value: JSON) -> str:
    """JSON text as Dapr writes it: compact, without the original order of the keys."""
    return _ENCODER.encode(stored(value))


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def checked_key(key: str) -> str:
    if "||" in key:
        raise Refused(400, "ERR_MALFORMED_REQUEST", f"input key/keyPrefix '{key}' can't contain '||'")
    return key


def body_of(request: httpx.Request) -> JSON:
    try:
        body: JSON = json.loads(request.content)
    except ValueError as error:
        raise Refused(400, "ERR_MALFORMED_REQUEST", str(error)) from error
    return body


def items_of(request: httpx.Request) -> list[dict[str, JSON]]:
    """The items of a save. The shapes of all of them are checked before anything is written."""
    body = body_of(request)
    if body is None:
        return []
    if not isinstance(body, list):
        raise Refused(400, "ERR_MALFORMED_REQUEST", "json: cannot unmarshal object into a list of SetRequest")
    return [checked_item(item) for item in body]


def checked_item(item: JSON) -> dict[str, JSON]:
    if not isinstance(item, dict) or not isinstance(item.get("key"), str) or not item["key"]:
        raise Refused(400, "ERR_MALFORMED_REQUEST", '"key" is a required field')
    checked_key(str(item["key"]))
    if not isinstance(item.get("etag"), str | None):
        raise Refused(400, "ERR_MALFORMED_REQUEST", "json: cannot unmarshal number into SetRequest.etag of type string")
    if not all(isinstance(value, str) for value in mapping(item, "metadata").values()):
        raise Refused(400, "ERR_MALFORMED_REQUEST", "json: cannot unmarshal into SetRequest.metadata")
    return item


def mapping(item: dict[str, JSON], name: str) -> dict[str, JSON]:
    value = item.get(name) or {}
    if not isinstance(value, dict):
        raise Refused(400, "ERR_MALFORMED_REQUEST", f"json: cannot unmarshal SetRequest.{name}")
    return value
