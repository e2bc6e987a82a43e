"""An update or a drained node loses no turn: the times in which services and sidecars stop fit together."""

import pytest

from tests.deploy.code_facts import SERVICES
from tests.deploy.manifests import Manifest, Overlay, annotations, containers, environment

CHAT, MEMORY = SERVICES

services = pytest.mark.parametrize("service", SERVICES)


def seconds(text: str) -> int:
    """A duration in whole seconds, as Dapr writes it."""
    return int(text.removesuffix("s"))


MEMORY_CALL_SECONDS = 4
"""CALL_TIMEOUT_SECONDS of the chat service's memory client: the last save of a turn with a callback."""
CALLBACK_ATTEMPT_SECONDS = 5
"""ATTEMPT_TIMEOUT_SECONDS of its callbacks: the one attempt that a stopping service makes."""
LAST_CALLBACKS_SECONDS = 2
"""What its cancelled turns get to send their callbacks."""
FORGOTTEN_SECONDS = 30 + 20
"""CoreDNS' longest cache, and the cache of resolved addresses in the calling sidecar (Dapr 1.18)."""
LONGEST_STORE_CALL_SECONDS = 10
"""BULK_TIMEOUT_SECONDS of the memory service."""


def stop_times(deployment: Manifest) -> tuple[int, int, int, int]:
    """Seconds of preStop, of the sidecar's block, of its graceful shutdown, and of the pod."""
    stated, (container,) = annotations(deployment), containers(deployment)
    _, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    return (
        int(pause),
        seconds(stated["block-shutdown-duration"]),
        int(stated["graceful-shutdown-seconds"]),
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
    )


def test_a_stopping_chat_pod_loses_no_turn(overlay: Overlay) -> None:
    """The service has time for its longest turn, the sidecar outlives the service, and the pod outlives both."""
    deployment = overlay.one("Deployment", CHAT)
    variables = environment(containers(deployment)[0])
    turn, shutdown = (int(variables[name]["value"]) for name in ("TURN_TIMEOUT_SECONDS", "SHUTDOWN_TIMEOUT_SECONDS"))
    pause, block, graceful, pod = stop_times(deployment)
    assert shutdown >= turn + MEMORY_CALL_SECONDS + CALLBACK_ATTEMPT_SECONDS
    assert block > pause + shutdown + LAST_CALLBACKS_SECONDS
    assert pod > block + graceful


def test_a_stopping_memory_pod_loses_no_call(overlay: Overlay) -> None:
    """The sidecar serves until no caller knows the pod, the service outlives the sidecar, and the pod outlives both."""
    pause, block, graceful, pod = stop_times(overlay.one("Deployment", MEMORY))
    assert block > FORGOTTEN_SECONDS
    assert pause >= block + LONGEST_STORE_CALL_SECONDS + graceful
    assert pod > pause


@services
def test_no_annotation_upsets_the_order_of_the_stop(overlay: Overlay, service: str) -> None:
    """A native sidecar would be signalled too late, and an app health check would end the block too early."""
    stated = annotations(overlay.one("Deployment", service))
    assert stated["enable-native-sidecar"] == "false"
    assert "enable-app-health-check" not in stated


@services
def test_an_update_or_a_drain_takes_one_pod_at_a_time(overlay: Overlay, service: str) -> None:
    """A new pod is there before an old one goes, and evictions wait for each other."""
    deployment = overlay.one("Deployment", service)
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = overlay.one("PodDisruptionBudget", service)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["spec"]["selector"]
