"""The two tokens: the sidecar's own and the one its app wants to see."""

from sidecar_process import House, call

TOKEN = {"dapr-api-token": "secret"}


def test_sidecar_wants_its_token(house: House) -> None:
    """Without it 401 in plain text, but for the health endpoints."""
    port = house.sidecar("app", DAPR_API_TOKEN="secret").port
    refused = call(port, "GET", "/v1.0/state/statestore/a")
    assert (refused.status, refused.body.strip()) == (401, b"invalid api token")
    assert call(port, "GET", "/v1.0/state/statestore/a", headers=TOKEN).status == 204
    assert [call(port, "GET", f"/v1.0/{path}").status for path in ("healthz", "healthz/outbound")] == [204, 204]
    assert call(port, "GET", "/v1.0/metadata").status == 401


def test_app_gets_its_own_sidecars_token(house: House) -> None:
    """The callee's token reaches the app; the caller's goes no further than the caller's sidecar."""
    house.sidecar("app", house.app(APP_NAME="app")[0], APP_API_TOKEN="apps")
    house.sidecar("plain", house.app(APP_NAME="plain")[0])
    port = house.sidecar("caller", DAPR_API_TOKEN="secret").port
    for app_id, body in (("app", b"app apps"), ("plain", b"plain")):
        assert call(port, "GET", f"/v1.0/invoke/{app_id}/method/name", headers=TOKEN).body == body
