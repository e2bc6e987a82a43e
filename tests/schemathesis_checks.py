"""A check for Schemathesis, which loads it by SCHEMATHESIS_HOOKS. It knows why these services refuse valid requests."""

from typing import Any

import schemathesis
from schemathesis import Case
from schemathesis.checks import CheckContext, positive_data_acceptance
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import use_after_free

REFUSALS = {
    *("callback_not_allowed", "fact_unknown", "history_replaced", "idempotency_key_reused", "not_owner"),
    *("session_deleted", "summary_conflict", "summary_unknown", "too_many_facts", "user_mismatch"),
}
"""Error codes of valid requests that are refused because of earlier requests or of the operator's settings."""


@schemathesis.check
def valid_input_is_accepted(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Check `positive_data_acceptance`, except for refusals with a reason that no schema can express."""
    if response.status_code >= 400 and response.json().get("code") in REFUSALS:
        return None
    result: bool | None = positive_data_acceptance(ctx, response, case)
    return result


@schemathesis.check
def deleted_is_gone(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Check `use_after_free`, except for users: one who was erased is someone new, with a default profile."""
    if case.path.startswith(("/users/", "/memories/")):
        return None
    result: bool | None = use_after_free(ctx, response, case)
    return result
