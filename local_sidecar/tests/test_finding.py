"""How sidecars find each other, and what a dead one leaves behind."""

import signal

from sidecar_process import House, call, free_port, until


def test_instances_of_one_app_take_turns(house: House) -> None:
    """Two instances are called strictly one after the other."""
    for name in ("first", "second"):
        house.sidecar("app", house.app(APP_NAME=name)[0])
    caller = house.sidecar("caller")
    assert [caller.invoke("app").body for _ in range(4)] == [b"first", b"second"] * 2


def test_killed_sidecar_is_passed_over_at_once(house: House) -> None:
    """After kill -9 of one of two sidecars no call fails, and its app gets none."""
    killed = house.sidecar("app", house.app(APP_NAME="killed")[0])
    house.sidecar("app", house.app(APP_NAME="living")[0])
    caller = house.sidecar("caller")
    caller.invoke("app")
    killed.process.kill()
    killed.process.wait()
    assert [caller.invoke("app").body for _ in range(4)] == [b"living"] * 4


def test_killed_app_is_passed_over(house: House) -> None:
    """A living sidecar whose app is gone costs no failed call where another instance listens."""
    port, app = house.app(APP_NAME="killed")
    house.sidecar("app", port)
    house.sidecar("app", house.app(APP_NAME="living")[0])
    caller = house.sidecar("caller")
    app.kill()
    app.wait()
    assert [caller.invoke("app").body for _ in range(4)] == [b"living"] * 4


def test_app_behind_a_dead_sidecar_is_not_reachable(house: House) -> None:
    """500 ERR_DIRECT_INVOKE, and a sidecar started again is found at once."""
    port, _ = house.app(APP_NAME="app")
    sidecar = house.sidecar("app", port)
    caller = house.sidecar("caller")
    assert caller.invoke("app").status == 200
    sidecar.process.kill()
    sidecar.process.wait()
    reply = caller.invoke("app")
    assert (reply.status, reply.code) == (500, "ERR_DIRECT_INVOKE")
    house.sidecar("app", port)
    assert caller.invoke("app").status == 200


def test_stopped_sidecar_is_found_no_more(house: House) -> None:
    """SIGTERM withdraws the entry and ends with code 0."""
    sidecar = house.sidecar("app", house.app()[0])
    caller = house.sidecar("caller")
    sidecar.process.send_signal(signal.SIGTERM)
    assert sidecar.process.wait(10) == 0
    assert caller.invoke("app").code == "ERR_DIRECT_INVOKE"


def test_health_waits_for_the_app(house: House) -> None:
    """`healthz` is 500 until the app's port is open, `outbound` is 204 before that."""
    port = free_port()
    sidecar = house.sidecar("app", port)
    assert call(sidecar.port, "GET", "/v1.0/healthz").code == "ERR_HEALTH_NOT_READY"
    assert call(sidecar.port, "GET", "/v1.0/healthz/outbound").status == 204
    house.app(port)
    until(lambda: call(sidecar.port, "GET", "/v1.0/healthz").status == 204)
