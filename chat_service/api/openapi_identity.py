"""What identity changes in the OpenAPI description: the tokens, their errors, and whether a user id is required."""

from typing import Any

from api.openapi import error_responses
from api.require_token import OPEN_PATHS
from identity.errors import IDENTITY_ERRORS
from models import ErrorBody, Message, Stop

SCHEME = "token"
"""Name of the security scheme. Swagger's Authorize button asks for its token."""
NAMING_A_USER = (Message.__name__, Stop.__name__)
"""The bodies that name a user, which a token makes needless."""


def describe_identity(description: dict[str, Any], *, is_on: bool) -> None:
    """Complete the description."""
    bodies = [description["components"]["schemas"][name] for name in NAMING_A_USER]
    if is_on:
        _describe_tokens(description)
        for body in bodies:
            body["examples"] = [{k: v for k, v in it.items() if k != "user_id"} for it in body["examples"]]
        for parameter in _user_id_parameters(description):
            parameter["schema"]["examples"] = ["me"]
    else:
        for body in bodies:
            _require_user_id(body)
        for parameter in _user_id_parameters(description):
            schema = parameter["schema"]
            claimed: dict[str, Any] = next((it for it in schema.pop("anyOf", []) if it["type"] == "string"), {})
            parameter.update(required=True, schema={**schema, **claimed})


def _user_id_parameters(description: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        parameter
        for operations in description["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "user_id"
    ]


def _require_user_id(body: dict[str, Any]) -> None:
    """Without a token a body must say whose it is."""
    user_id = body["properties"]["user_id"]
    claimed = next(option for option in user_id.pop("anyOf") if option["type"] == "string")
    body["properties"]["user_id"] = {**claimed, "title": user_id["title"]}
    body["required"] = ["user_id", *body.get("required", [])]


def _describe_tokens(description: dict[str, Any]) -> None:
    description["components"]["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of the configured issuer for this service.",
        }
    }
    for path, operations in description["paths"].items():
        if path not in OPEN_PATHS:
            for operation in operations.values():
                operation["security"] = [{SCHEME: []}]
                _add_errors(operation["responses"])


def _add_errors(responses: dict[str, Any]) -> None:
    """Add the errors of tokens to a route's own. A status that the route has already gets a longer description."""
    schema = {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}
    for status, error in error_responses(*IDENTITY_ERRORS).items():
        response = responses.setdefault(str(status), {"content": {"application/json": {"schema": schema}}})
        known = response.get("description")
        response["description"] = f"{known}\n{error['description']}" if known else error["description"]
