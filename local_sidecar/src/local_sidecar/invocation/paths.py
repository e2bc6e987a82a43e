"""Paths as Go reads, cleans and writes them."""

import posixpath
import re
from urllib.parse import quote, unquote, unquote_to_bytes

_LEFT_AS_THEY_ARE = "$&+,/:;=@-_.~"
_VALID = re.compile(r"(?:[A-Za-z0-9\-_.~$&+,/:;=@!'()*\[\]]|%[0-9a-fA-F]{2})*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_FORBIDDEN = re.compile(r"[#?\x00-\x1f\x7f]")


class BadMethod(Exception):
    """The path of an invocation that cannot be sent to the app."""


def cleaned(path: str) -> str:
    """Without empty, `.` and `..` segments and without a trailing slash."""
    rooted = path.startswith("/")
    clean = posixpath.normpath(path) if path else "."
    return "/" + clean.lstrip("/") if rooted else clean


def route_of(raw_path: str) -> str:
    """The path that routes are looked up by: cleaned, its escapes still in it."""
    valid = raw_path if _VALID.fullmatch(raw_path) else quote(unquote_to_bytes(raw_path), safe=_LEFT_AS_THEY_ARE)
    return cleaned(valid)


def decoded(raw_path: str) -> str:
    """The path with its escapes decoded."""
    return unquote(raw_path, errors="surrogateescape")


def app_path(method: str) -> str:
    """The path to ask the app for, from the decoded text after `/method/`.

    What still looks like an escape stays one: that is how `%252F` reaches the app as `%2F`. Raises BadMethod.
    """
    if _FORBIDDEN.search(method):
        raise BadMethod(f'invalid method: method contains forbidden character: "{method}"')
    if _BROKEN_ESCAPE.search(method) or not _is_text(method):
        raise BadMethod(f'error invoking app channel: parse "/{method}": invalid URL escape')
    clean = cleaned(method)
    while clean.startswith("../"):
        clean = clean[3:]
    clean = "" if clean in (".", "..") else clean.lstrip("/")
    path = clean if _VALID.fullmatch(clean) else quote(unquote_to_bytes(clean), safe=_LEFT_AS_THEY_ARE)
    return "/" + path


def _is_text(method: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in method)
