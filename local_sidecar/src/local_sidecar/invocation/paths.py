"""Paths of requests, read, cleaned and written as Go does it."""

import posixpath
import re
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

_LEFT_AS_THEY_ARE = "$&+,/:;=@-_.~"
_VALID = re.compile(r"(?:[A-Za-z0-9\-_.~$&+,/:;=@!'()*\[\]]|%[0-9a-fA-F]{2})*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_FORBIDDEN = re.compile(r"[#?\x00-\x1f\x7f]")
_INVOCATION = re.compile(r"/+v1\.0/+invoke/+([^/].*?)/method/(.*)", re.DOTALL)


class InvalidMethod(Exception):
    """The method (the path after `/method/`) of an invocation cannot be sent to the app."""


def cleaned(path: str) -> str:
    """The path without empty, `.` and `..` segments and without a trailing slash."""
    rooted = path.startswith("/")
    clean = posixpath.normpath(path) if path else "."
    return "/" + clean.lstrip("/") if rooted else clean


def route_of(raw_path: str) -> str:
    """The path by which routes are found: cleaned, with its escapes still in it."""
    return cleaned(_escaped(raw_path))


def decoded(raw_path: str) -> str:
    """The path with its escapes decoded."""
    return unquote(raw_path, errors="surrogateescape")


def invocation_of(path: str) -> tuple[str, str] | None:
    """App id and method in the decoded path of an invocation, or None for any other path."""
    found = _INVOCATION.match(path)
    return (unquote_plus(found[1]), found[2]) if found else None


def app_path(method: str) -> str:
    """The path to request from the app, from the decoded method.

    What still looks like an escape stays one: that is how `%252F` reaches the app as `%2F`. Raises InvalidMethod.
    """
    if _FORBIDDEN.search(method):
        raise InvalidMethod(f'invalid method: method contains forbidden character: "{method}"')
    if _BROKEN_ESCAPE.search(method) or not _is_text(method):
        raise InvalidMethod(f'error invoking app channel: parse "/{method}": invalid URL escape')
    clean = cleaned(method)
    while clean.startswith("../"):
        clean = clean[3:]
    return "/" + _escaped("" if clean in (".", "..") else clean.lstrip("/"))


def _escaped(path: str) -> str:
    return path if _VALID.fullmatch(path) else quote(unquote_to_bytes(path), safe=_LEFT_AS_THEY_ARE)


def _is_text(method: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in method)
