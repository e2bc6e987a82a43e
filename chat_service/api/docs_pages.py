"""The pages `/docs` and `/redoc`. Their scripts come from this service, so they work without the internet."""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

ASSETS_PATH = "/docs/assets"
"""Path of the scripts, the styles and the icon."""
ASSETS_FOLDER = Path(fastapi_offline.__file__).parent / "static"
"""Where the package has them."""
REDOC_SCRIPT = "redoc.standalone.js"
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
"""The image that ReDoc's script would load from its maker. The browser refuses that, with an error on its console."""
OAUTH2_REDIRECT_PATH = "/docs/oauth2-redirect"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "script-src 'self' 'unsafe-inline'; worker-src blob:; frame-ancestors 'none'; base-uri 'none'"
    )
}
"""A browser asks no other host for anything: Redoc would load its logo. Both pages have their settings in the page."""


def add_docs_pages(app: FastAPI) -> None:
    """Add both pages to an app that was made without FastAPI's own."""

    @app.get("/docs", include_in_schema=False)
    async def swagger_ui(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=f"{app.title}: Swagger UI",
            swagger_js_url=f"{root}{ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
            oauth2_redirect_url=f"{root}{OAUTH2_REDIRECT_PATH}",
            swagger_ui_parameters={"validatorUrl": None},
        )
        page.headers.update(HEADERS)
        return page

    @app.get(OAUTH2_REDIRECT_PATH, include_in_schema=False)
    async def oauth2_redirect() -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()

    @app.get("/redoc", include_in_schema=False)
    async def redoc(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_redoc_html(
            openapi_url=f"{root}/openapi.json",
            title=f"{app.title}: ReDoc",
            redoc_js_url=f"{root}{ASSETS_PATH}/{REDOC_SCRIPT}",
            redoc_favicon_url=f"{root}{ASSETS_PATH}/favicon.png",
            with_google_fonts=False,
        )
        page.headers.update(HEADERS)
        return page

    @app.get(f"{ASSETS_PATH}/{REDOC_SCRIPT}", include_in_schema=False)
    def redoc_script() -> Response:
        script = (ASSETS_FOLDER / REDOC_SCRIPT).read_bytes().replace(REDOC_LOGO, b"data:,")
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})

    app.mount(ASSETS_PATH, StaticFiles(directory=ASSETS_FOLDER), name="docs-assets")
