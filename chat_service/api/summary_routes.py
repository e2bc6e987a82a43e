"""The routes about a session's summary: correct it, remove it. The session's messages are read with it."""

from fastapi import APIRouter, Depends

from api.dependencies import ServicesInUse
from api.memory_errors import reported_failures
from api.openapi import error_responses
from api.user_routes import BODY_ERRORS, COMMON_ERRORS, SessionId, SessionOwner, one_waiting_request
from errors import HistoryTooLarge, NotOwner, SessionDeleted, SummaryConflict, SummaryUnknown
from user_models import SessionSummary, SummaryChange

ERRORS = (*COMMON_ERRORS, NotOwner, SessionDeleted, SummaryConflict, HistoryTooLarge)

router = APIRouter(dependencies=[Depends(one_waiting_request)])


@router.put("/sessions/{session_id}/summary", responses=error_responses(*ERRORS, *BODY_ERRORS, SummaryUnknown))
async def correct_summary(
    session_id: SessionId, change: SummaryChange, user: SessionOwner, services: ServicesInUse
) -> SessionSummary:
    """Correct the summary of a session. The next summary is made from the corrected text."""
    with reported_failures():
        changed = await services.user_data.change_summary(session_id, user.user_id, change.text, change.through)
    if changed is None:
        raise SummaryUnknown
    return SessionSummary.model_validate(changed.model_dump())


@router.delete("/sessions/{session_id}/summary", status_code=204, responses=error_responses(*ERRORS))
async def remove_summary(session_id: SessionId, user: SessionOwner, services: ServicesInUse) -> None:
    """Remove the summary of a session. May be repeated.

    The summarized messages stay in the history, but the model gets no summary of them any more.
    """
    with reported_failures():
        await services.user_data.change_summary(session_id, user.user_id, "")
