"""Loaded by Schemathesis (SCHEMATHESIS_HOOKS): what its own checks cannot know of these services."""

from typing import Any

import schemathesis
from schemathesis import Case
from schemathesis.checks import CheckContext, positive_data_acceptance
from schemathesis.core.transport import Response

REFUSALS = {"callback_not_allowed", "idempotency_key_reused", "not_owner", "session_deleted"}
"""Codes of well-formed requests that are refused for what was before, or for what the operator allows."""


@schemathesis.check
def good_input_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """`positive_data_acceptance`, unless the refusal names a reason that no schema can hold."""
    if response.status_code >= 400 and response.json().get("code") in REFUSALS:
        return None
    result: bool | None = positive_data_acceptance(ctx, response, case)
    return result
