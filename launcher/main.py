"""Checks, prints what is started and why, and runs it."""

import os

from launcher.apps import HOST, ROOT, read_apps
from launcher.checks import check_env_file, check_ports, refuse
from launcher.dapr import missing_for_dapr
from launcher.ready import ReadyPrinter
from launcher.run_file import has_multicast, resources_folder, run_file
from launcher.supervise import supervise

DAPR_LOGS = "Dapr's own logs are in chat_service/.dapr/logs and agent_memory_service/.dapr/logs."
ADDRESS_WITHOUT_NETWORK = {"DAPR_HOST_IP": HOST}
"""Dapr's sidecar does not start if it finds no address of a network and this variable does not name one."""

LOCAL_SIDECAR = ROOT / ".venv" / "bin" / "local-sidecar"
LOCAL_LOGS = "The lines above say why, each with the name of its process."


def main(mode: str, store: str | None) -> int:
    """Start everything and return its exit code. `mode` is auto, dapr or local."""
    folder = resources_folder(store)
    check_env_file()
    missing = None if mode == "local" else missing_for_dapr(folder)
    if mode == "dapr" and missing:
        refuse(f"{missing}. `make run-local` needs neither Dapr nor Redis")
    apps = read_apps()
    with_dapr = mode != "local" and missing is None
    check_ports(apps, with_dapr=with_dapr)
    if not with_dapr:
        state = os.environ.get("LOCAL_SIDECAR_STATE") or ".local/state.db"
        why = missing or "as asked"
        print(f"Starting with the local sidecar: {why}. The state is in the file {state}.", flush=True)
        file = run_file(folder, resolve_by_file=False)
        return supervise([str(LOCAL_SIDECAR), "run", "-f", str(file)], {}, ReadyPrinter(apps, LOCAL_LOGS))
    print(f"Starting with Dapr; the state store is the one in {folder.relative_to(ROOT)}/. {DAPR_LOGS}", flush=True)
    without_network = not has_multicast()
    if without_network:
        print("There is no network for mDNS: Dapr's sidecars find each other by the file .dapr-names.db.", flush=True)
    file = run_file(folder, resolve_by_file=without_network)
    environment = ADDRESS_WITHOUT_NETWORK if without_network else {}
    return supervise(["dapr", "run", "-f", str(file)], environment, ReadyPrinter(apps, DAPR_LOGS))
