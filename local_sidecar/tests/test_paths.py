"""Paths are read, cleaned and written as Go does it (as in the recording `invoke-path-specials`)."""

import pytest

from local_sidecar.invocation.paths import InvalidMethod, app_path, decoded, route_of


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        *(("echo/x/", "/echo/x"), ("/echo//x", "/echo/x"), ("echo/x/%2E%2E/y", "/echo/y"), ("../../echo", "/echo")),
        *(("", "/"), (".", "/"), ("..", "/"), ("echo/a%2Fb", "/echo/a/b"), ("echo/a%252Fb", "/echo/a%2Fb")),
        *(("echo/a b", "/echo/a%20b"), ("echo/%C3%A9", "/echo/%C3%A9"), ("echo/a%7Cb", "/echo/a%7Cb")),
        *(("echo/a@b=c,d;e!f", "/echo/a@b=c,d;e!f"), ("echo/a+b", "/echo/a+b"), ("echo/user%3A42", "/echo/user:42")),
    ],
)
def test_path_that_the_app_is_asked_for(raw: str, sent: str) -> None:
    """The path is decoded once, cleaned, and escaped where a URL needs it."""
    assert app_path(decoded(raw)) == sent


@pytest.mark.parametrize("raw", ["a%3Fb", "a%23b", "a%25b", "a%00b", "a%0Ab", "a%7F", "a%FF"])
def test_paths_that_do_not_reach_an_app(raw: str) -> None:
    """A question mark, a hash, a control character, a broken escape or bytes that are no text are refused."""
    with pytest.raises(InvalidMethod):
        app_path(decoded(raw))


@pytest.mark.parametrize(
    ("raw", "route"),
    [
        ("//v1.0/./state/x/../s/k/", "/v1.0/state/s/k"),
        ("/v1.0/state/s/a%2Fb", "/v1.0/state/s/a%2Fb"),
        ("/v1.0/state/s/a||b", "/v1.0/state/s/a%7C%7Cb"),
        ("/", "/"),
    ],
)
def test_route(raw: str, route: str) -> None:
    """A route is found by the cleaned path with its escapes."""
    assert route_of(raw) == route
