"""How sidecars find each other, and what happens when one or its app dies."""

import signal

from sandbox import Sandbox, call, free_port, until


def test_instances_of_one_app_take_turns(sandbox: Sandbox) -> None:
    """Two instances are called strictly in turn."""
    for name in ("first", "second"):
        sandbox.sidecar("app", sandbox.app(APP_NAME=name)[0])
    caller = sandbox.sidecar("caller")
    assert [caller.invoke("app").body for _ in range(4)] == [b"first", b"second"] * 2


def test_killed_sidecar_is_passed_over_at_once(sandbox: Sandbox) -> None:
    """After kill -9 of one of two sidecars no call fails and its app gets none."""
    killed = sandbox.sidecar("app", sandbox.app(APP_NAME="killed")[0])
    sandbox.sidecar("app", sandbox.app(APP_NAME="living")[0])
    caller = sandbox.sidecar("caller")
    caller.invoke("app")
    killed.process.kill()
    killed.process.wait()
    assert [caller.invoke("app").body for _ in range(4)] == [b"living"] * 4


def test_killed_app_is_passed_over(sandbox: Sandbox) -> None:
    """No call fails when the app of one sidecar is dead and another instance listens."""
    port, app = sandbox.app(APP_NAME="killed")
    sandbox.sidecar("app", port)
    sandbox.sidecar("app", sandbox.app(APP_NAME="living")[0])
    caller = sandbox.sidecar("caller")
    app.kill()
    app.wait()
    assert [caller.invoke("app").body for _ in range(4)] == [b"living"] * 4


def test_app_behind_a_dead_sidecar_is_not_reachable(sandbox: Sandbox) -> None:
    """An app behind a dead sidecar is 500 ERR_DIRECT_INVOKE, and a sidecar started again is found at once."""
    port, _ = sandbox.app(APP_NAME="app")
    sidecar = sandbox.sidecar("app", port)
    caller = sandbox.sidecar("caller")
    assert caller.invoke("app").status == 200
    sidecar.process.kill()
    sidecar.process.wait()
    response = caller.invoke("app")
    assert (response.status, response.code) == (500, "ERR_DIRECT_INVOKE")
    sandbox.sidecar("app", port)
    assert caller.invoke("app").status == 200


def test_stopped_sidecar_leaves_the_registry(sandbox: Sandbox) -> None:
    """SIGTERM removes the entry, and the sidecar ends with code 0."""
    sidecar = sandbox.sidecar("app", sandbox.app()[0])
    caller = sandbox.sidecar("caller")
    sidecar.process.send_signal(signal.SIGTERM)
    assert sidecar.process.wait(10) == 0
    assert caller.invoke("app").code == "ERR_DIRECT_INVOKE"


def test_health_waits_for_the_app(sandbox: Sandbox) -> None:
    """`healthz` is 500 until the app's port is open, `outbound` is 204 before that."""
    port = free_port()
    sidecar = sandbox.sidecar("app", port)
    assert call(sidecar.port, "GET", "/v1.0/healthz").code == "ERR_HEALTH_NOT_READY"
    assert call(sidecar.port, "GET", "/v1.0/healthz/outbound").status == 204
    sandbox.app(port)
    until(lambda: call(sidecar.port, "GET", "/v1.0/healthz").status == 204)
