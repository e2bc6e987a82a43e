"""Builds the response of a turn. Pure functions from the turn and the outcome of its save."""

from errors import IdempotencyKeyReused
from memory_models import ConversationEntry, RecordedTurn
from models import HistoryState, MemoryState, Metadata, Response
from turn.completed_turn import CompletedTurn
from turn.request import TurnRequest
from turn.saving import SaveOutcome


def draft_response(
    request: TurnRequest, reply: ConversationEntry, model_name: str, memory: MemoryState, finish: str | None, lag: int
) -> Response:
    """The response before the outcome of its save is known."""
    response = _response(request, reply, model_name, "pending")
    return with_metadata(response, memory=memory, finish=finish, summary_lag=lag or None)


def recorded_response(request: TurnRequest, recorded: RecordedTurn, model_name: str) -> Response:
    """The response of a turn that is recorded. Raises IdempotencyKeyReused if it was recorded for another text."""
    question, reply = recorded.last_entry("user"), recorded.last_entry("assistant")
    if question is None or question.content != request.text or reply is None:
        raise IdempotencyKeyReused
    return _response(request, reply, model_name, "saved")


def final_response(turn: CompletedTurn, outcome: SaveOutcome) -> Response:
    """The response with the outcome of its save.

    If memory returned the turn as it is recorded, the response has that reply. It may be another one than the draft's:
    another replica may have run the same turn and saved it first.

    A field of the metadata that only the draft has must be copied here, or it is missing from every saved turn.
    """
    draft = turn.draft.metadata
    if outcome.history != "saved":
        memory = draft.memory if outcome.is_rejected else "unavailable"
        return with_metadata(turn.draft, history=outcome.history, code=outcome.code, memory=memory)
    if outcome.recorded is None:
        return with_metadata(turn.draft, history="saved")
    recorded = recorded_response(turn.request, outcome.recorded, draft.model)
    is_own_reply = recorded.reply == turn.draft.reply
    return with_metadata(
        recorded,
        memory=draft.memory,
        finish=draft.finish if is_own_reply else None,
        context=draft.context,
        summary_lag=draft.summary_lag,
    )


def unknown_response(draft: Response, code: str) -> Response:
    """The final response if the save was broken off: an attempt may have been executed."""
    return with_metadata(draft, history="unknown", code=code)


def with_metadata(response: Response, **changed: str | int | None) -> Response:
    """The response with some of its metadata changed."""
    return response.model_copy(update={"metadata": response.metadata.model_copy(update=changed)})


def _response(request: TurnRequest, reply: ConversationEntry, model_name: str, history: HistoryState) -> Response:
    return Response(
        user_id=request.user_id,
        reply=reply.content,
        metadata=Metadata(
            timestamp=reply.timestamp,
            session_id=request.session_id,
            history=history,
            memory="ok",
            model=model_name,
            turn_id=request.turn_id,
            stopped=reply.stopped or None,
        ),
    )
