"""Serves the files of the chat page, with headers that let it load nothing from elsewhere and be framed by nobody."""

import os
from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

PREFIX = "/page/"
"""The path below which the page's own files are. They hold no person's data, so they need no token."""
FOLDER = Path(__file__).parent / "static"
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What the page may load: its own files. An image from elsewhere could carry a conversation away in its address."""
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""The headers of every file of the page. A cached file is checked again, so that all files are of one version."""


class PageFiles(StaticFiles):
    """The page's files."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file with the page's headers; 304 if the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response


def index() -> FileResponse:
    """The page itself. Its address has another form for programs, so caches must tell them apart."""
    return FileResponse(FOLDER / "index.html", headers={**HEADERS, "Vary": "Accept"})
