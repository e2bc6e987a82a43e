"""What a reply says: pure functions from a turn and what became of it to the response."""

from errors import key_reused
from models import ConversationEntry, MemoryState, Metadata, RecordedTurn, Response, TurnRequest
from turn.saving import SaveOutcome


def pending(
    request: TurnRequest, answer: ConversationEntry, model_name: str, memory: MemoryState, lag: int
) -> Response:
    """The reply before anything is known of its save."""
    return Response(
        user_id=request.user_id,
        reply=answer.content,
        metadata=Metadata(
            timestamp=answer.timestamp,
            session_id=request.session_id,
            history="pending",
            memory=memory,
            model=model_name,
            turn_id=request.turn_id,
            summary_lag=lag or None,
        ),
    )


def repeated(request: TurnRequest, recorded: RecordedTurn, model_name: str) -> Response:
    """The recorded reply. Raises ServiceError (422) where the recorded question is another."""
    asked, answer = recorded.said_by("user"), recorded.said_by("assistant")
    if asked is None or asked.content != request.text or answer is None:
        raise key_reused()
    reply = pending(request, answer, model_name, "ok", 0)
    return with_metadata(reply, history="saved")


def settled(request: TurnRequest, reply: Response, outcome: SaveOutcome) -> Response:
    """The reply with its save's outcome; where the turn was recorded before, the recorded reply."""
    if outcome.history != "saved":
        memory = reply.metadata.memory if outcome.is_refused else "unavailable"
        return with_metadata(reply, history="not_saved", code=outcome.code, memory=memory)
    if outcome.recorded is None:
        return with_metadata(reply, history="saved")
    told = reply.metadata
    recorded = repeated(request, outcome.recorded, told.model)
    return with_metadata(recorded, memory=told.memory, summary_lag=told.summary_lag)


def with_metadata(reply: Response, **changed: str | int | None) -> Response:
    """The reply with some of its metadata changed."""
    return reply.model_copy(update={"metadata": reply.metadata.model_copy(update=changed)})
