"""The routes about what is stored of a user: sessions and their messages, the profile, facts, export, erase.

Each calls the memory service. With identity on, a user reaches what is their own.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.dependencies import ServicesInUse, TokenUser, requested_user
from api.export_response import ExportResponse
from api.memory_errors import reported_failures
from api.middleware import LONG_RESPONSE
from api.openapi import Responses, error_responses
from errors import (
    BodyTooLarge,
    BodyTooSlow,
    EraseUnfinished,
    FactUnknown,
    HistoryReplaced,
    InternalError,
    InvalidRequest,
    MemoryFailure,
    MemoryUnavailable,
    NotOwner,
    Overloaded,
    SessionDeleted,
    TooManyFacts,
    TooManyRequests,
)
from identity.users import User
from memory_models import Conversation, Fact, ListedSession
from models import Id
from turn.session_ids import belongs_to_another
from user_models import (
    MAX_PAGE_MESSAGES,
    MAX_PAGE_SESSIONS,
    FactChange,
    FactsOfUser,
    MessagePage,
    NewFact,
    ProfileChange,
    SessionInfo,
    SessionPage,
    SessionSummary,
    StoredMessage,
    UserExport,
    UserFact,
    UserProfile,
)

ME = "me"
"""Stands for the token's user, with identity on: a client need not know the user id of its token."""

EXPORT_NAME = "what-is-remembered.json"
"""Name of the exported file. It holds no user id: not every id may be in a header."""

COMMON_ERRORS = (InvalidRequest, InternalError, MemoryUnavailable, TooManyRequests)
"""The errors of every route here."""
BODY_ERRORS = (BodyTooLarge, BodyTooSlow, Overloaded)
"""The errors of a request with a body."""

KNOWN_FACT: Responses = {200: {"model": UserFact, "description": "The text was remembered before"}}

UserId = Annotated[
    Id,
    Path(
        description="The user. With identity on it is the token's user, or `me`; any other gets 403.",
        examples=["junaid"],
    ),
]
SessionId = Annotated[Id, Path(description="The session.", examples=["session-1"])]
FactId = Annotated[Id, Path(description="The fact's id, as the list of facts has it.", examples=["9f86d081884c7d65"])]
Before = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,15}(-[0-9a-f]{1,32})?$", description="`before` of the last page", examples=["9"]),
]


def _named_user(token_user: User | None, user_id: str | None, *location: str) -> User:
    if token_user is not None and user_id == ME:
        return token_user
    return requested_user(token_user, user_id, *location)


async def _user_in_path(user_id: UserId, token_user: TokenUser) -> User:
    """The user whose data is requested. Raises UserMismatch if it is another than the token's."""
    return _named_user(token_user, user_id, "path", "user_id")


UserInPath = Annotated[User, Depends(_user_in_path)]


async def _session_owner(
    session_id: SessionId,
    token_user: TokenUser,
    user_id: Annotated[
        Id | None, Query(description="The user. With identity on it can be left out.", examples=["junaid"])
    ] = None,
) -> User:
    """The user in whose name a session is read or deleted. Raises NotOwner if its id is reserved for another user."""
    user = _named_user(token_user, user_id, "query", "user_id")
    if user.is_verified and belongs_to_another(session_id, user.user_id):
        raise NotOwner
    return user


SessionOwner = Annotated[User, Depends(_session_owner)]


async def one_waiting_request(services: ServicesInUse) -> AsyncIterator[None]:
    """Hold a slot for the time of the request."""
    with services.waiting_requests.one():
        yield


router = APIRouter()
waiting = APIRouter(dependencies=[Depends(one_waiting_request)])


@waiting.get("/users/{user_id}/sessions", responses=error_responses(*COMMON_ERRORS, HistoryReplaced))
async def list_sessions(
    user: UserInPath,
    services: ServicesInUse,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_SESSIONS)] = 20,
    before: Before = None,
) -> SessionPage:
    """List the user's sessions, the one with the latest activity first."""
    with reported_failures():
        page = await services.user_data.sessions(user.user_id, limit, before)
    sessions = [_session_info(it) for it in page.conversations]
    return SessionPage(sessions=sessions, before=page.before, damaged=page.damaged)


@waiting.get(
    "/sessions/{session_id}/messages",
    responses=error_responses(*COMMON_ERRORS, NotOwner, SessionDeleted, HistoryReplaced),
)
async def list_messages(
    session_id: SessionId,
    user: SessionOwner,
    services: ServicesInUse,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_MESSAGES)] = 50,
    before: Before = None,
) -> MessagePage:
    """Read the newest messages of a session, or with `before` those before a page."""
    with reported_failures():
        if before is None:
            page = await services.user_data.recent(session_id, user.user_id, limit)
        else:
            page = await services.user_data.before(session_id, user.user_id, before, limit)
    return _message_page(session_id, page)


@waiting.delete("/sessions/{session_id}", status_code=204, responses=error_responses(*COMMON_ERRORS, NotOwner))
async def delete_session(session_id: SessionId, user: SessionOwner, services: ServicesInUse) -> None:
    """Delete a session with all its messages. May be repeated. For a day its id accepts no new turns."""
    with services.unsaved.dropped(user.user_id, session_id), reported_failures():
        await services.user_data.delete_session(session_id, user.user_id)


@waiting.get("/users/{user_id}/profile", responses=error_responses(*COMMON_ERRORS))
async def read_profile(user: UserInPath, services: ServicesInUse) -> UserProfile:
    """Read the user's profile, or the default one."""
    with reported_failures():
        profile = await services.user_data.profile(user.user_id)
    return UserProfile.model_validate(profile.with_name(user.user_id, user.name).model_dump())


@waiting.patch("/users/{user_id}/profile", responses=error_responses(*COMMON_ERRORS, *BODY_ERRORS))
async def change_profile(user: UserInPath, change: ProfileChange, services: ServicesInUse) -> UserProfile:
    """Change some fields of the user's profile. The response has all of them."""
    with reported_failures():
        profile = await services.user_data.change_profile(user.user_id, change.model_dump(exclude_none=True))
    return UserProfile.model_validate(profile.with_name(user.user_id, user.name).model_dump())


@waiting.get("/users/{user_id}/facts", responses=error_responses(*COMMON_ERRORS))
async def list_facts(user: UserInPath, services: ServicesInUse) -> FactsOfUser:
    """Read what the agent remembers of the user beyond sessions."""
    with reported_failures():
        return FactsOfUser(facts=[_user_fact(fact) for fact in await services.user_data.facts(user.user_id)])


@waiting.post(
    "/users/{user_id}/facts",
    status_code=201,
    responses={**error_responses(*COMMON_ERRORS, *BODY_ERRORS, NotOwner, SessionDeleted, TooManyFacts), **KNOWN_FACT},
)
async def remember_fact(user: UserInPath, fact: NewFact, services: ServicesInUse, response: Response) -> UserFact:
    """Remember a fact, once. If its text is there already, 200 and that fact."""
    with reported_failures():
        stored, is_new = await services.user_data.remember(user.user_id, fact.text, fact.session_id)
    if not is_new:
        response.status_code = 200
    return _user_fact(stored)


@waiting.patch("/users/{user_id}/facts/{fact_id}", responses=error_responses(*COMMON_ERRORS, *BODY_ERRORS, FactUnknown))
async def correct_fact(user: UserInPath, fact_id: FactId, change: FactChange, services: ServicesInUse) -> UserFact:
    """Change the text of a fact. Its id stays. Another fact with the same text goes."""
    with reported_failures():
        return _user_fact(await services.user_data.correct(user.user_id, fact_id, change.text))


@waiting.delete("/users/{user_id}/facts/{fact_id}", status_code=204, responses=error_responses(*COMMON_ERRORS))
async def forget_fact(user: UserInPath, fact_id: FactId, services: ServicesInUse) -> None:
    """Forget a fact. May be repeated."""
    with reported_failures():
        await services.user_data.forget(user.user_id, fact_id)


@waiting.delete("/users/{user_id}", status_code=204, responses=error_responses(*COMMON_ERRORS, EraseUnfinished))
async def erase_user(user: UserInPath, services: ServicesInUse) -> None:
    """Erase the user's profile, facts and sessions for good. May be repeated."""
    try:
        with services.unsaved.dropped(user.user_id), reported_failures():
            await services.user_data.erase(user.user_id)
    except MemoryUnavailable as error:
        if isinstance(error.__cause__, MemoryFailure) and isinstance(error.__cause__.__cause__, TimeoutError):
            raise EraseUnfinished from error
        raise


async def _open_export(user: UserInPath, services: ServicesInUse) -> AsyncIterator[AsyncIterator[bytes]]:
    """Wait for the beginning of the export. A failure before it gets its own HTTP status."""
    with services.open_streams.one(), reported_failures():
        async with services.user_data.export(user.user_id) as pieces:
            yield pieces


@router.get(
    "/users/{user_id}/export",
    response_model=UserExport,
    responses=error_responses(*COMMON_ERRORS),
)
async def export_user(
    request: Request, pieces: Annotated[AsyncIterator[bytes], Depends(_open_export)]
) -> StreamingResponse:
    """Get everything that is stored of the user, as a file."""
    request.scope.setdefault("state", {})[LONG_RESPONSE] = True
    return ExportResponse(pieces, headers={"Content-Disposition": f'attachment; filename="{EXPORT_NAME}"'})


router.include_router(waiting)


def _session_info(session: ListedSession) -> SessionInfo:
    return SessionInfo(
        session_id=session.session_id,
        created_at=session.created,
        updated_at=session.last_activity,
        messages=session.messages,
        title=session.first_words,
    )


def _message_page(session_id: str, page: Conversation) -> MessagePage:
    return MessagePage(
        session_id=session_id,
        messages=[StoredMessage.model_validate(entry.model_dump()) for entry in page.history],
        total=page.length,
        before=page.before,
        summary=None if page.summary is None else SessionSummary.model_validate(page.summary.model_dump()),
    )


def _user_fact(fact: Fact) -> UserFact:
    return UserFact.model_validate(fact.model_dump())
