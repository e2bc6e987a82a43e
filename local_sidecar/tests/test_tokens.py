"""The API token of the sidecar and the token that its app expects."""

from sandbox import Sandbox, call

TOKEN = {"dapr-api-token": "secret"}


def test_sidecar_wants_its_token(sandbox: Sandbox) -> None:
    """Without the token a request gets 401 in plain text, except to the health endpoints."""
    port = sandbox.sidecar("app", DAPR_API_TOKEN="secret").port
    refused = call(port, "GET", "/v1.0/state/statestore/a")
    assert (refused.status, refused.body.strip()) == (401, b"invalid api token")
    assert call(port, "GET", "/v1.0/state/statestore/a", headers=TOKEN).status == 204
    assert [call(port, "GET", f"/v1.0/{path}").status for path in ("healthz", "healthz/outbound")] == [204, 204]
    assert call(port, "GET", "/v1.0/metadata").status == 401


def test_app_gets_its_own_sidecars_token(sandbox: Sandbox) -> None:
    """The app gets the token of its own sidecar. The caller's token reaches the caller's sidecar only."""
    sandbox.sidecar("app", sandbox.app(APP_NAME="app")[0], APP_API_TOKEN="apps")
    sandbox.sidecar("plain", sandbox.app(APP_NAME="plain")[0])
    port = sandbox.sidecar("caller", DAPR_API_TOKEN="secret").port
    for app_id, body in (("app", b"app apps"), ("plain", b"plain")):
        assert call(port, "GET", f"/v1.0/invoke/{app_id}/method/name", headers=TOKEN).body == body
