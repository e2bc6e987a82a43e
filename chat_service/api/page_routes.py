"""The routes of the chat page. Programs get JSON from `/` as in the tutorial."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from api.dependencies import ServicesInUse, TokenUser
from api.openapi import error_responses
from errors import BodyTooLarge, BodyTooSlow, InvalidRequest, Overloaded, TooManyRequests
from models import Rendered, Texts, Welcome, WhoAmI
from page.accept import prefers_html
from page.files import index
from page.rendering import rendered

WELCOME = "Welcome to the DACA Chat Service! Access /docs for the API documentation."
"""The tutorial's greeting, word for word."""

page_router = APIRouter()


@page_router.get(
    "/", response_model=Welcome, responses={200: {"content": {"text/html": {}}, "description": "Greeting or page"}}
)
async def root(request: Request) -> Response:
    """Greet. A browser, which prefers `text/html`, gets the chat page."""
    if prefers_html(request.headers.get("accept", "*/*")):
        return index()
    return JSONResponse(Welcome(message=WELCOME).model_dump(), headers={"Vary": "Accept"})


@page_router.get("/whoami")
async def who_am_i(token_user: TokenUser) -> WhoAmI:
    """Who the request's token belongs to. Without identity the user is whoever a request names."""
    if token_user is None:
        return WhoAmI(identity="off")
    return WhoAmI(identity="on", user_id=token_user.user_id, name=token_user.name)


@page_router.post(
    "/render", responses=error_responses(BodyTooSlow, BodyTooLarge, InvalidRequest, TooManyRequests, Overloaded)
)
async def render(texts: Texts, services: ServicesInUse) -> Rendered:
    """Turn the Markdown of replies into HTML that is safe to show. Null for a text that is too long for it."""
    with services.renderings.one():
        return Rendered(html=await run_in_threadpool(lambda: [rendered(text) for text in texts.texts]))
