"""The command line: `local-sidecar` with daprd's flags, or `local-sidecar run -f dapr.yaml`."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import uvloop

from local_sidecar.components import ResourcesError, load_resources
from local_sidecar.multi_app.run import run_file
from local_sidecar.sidecar import Options, StartError, serve

DEFAULT_HTTP_PORT = 3500
JSON_DEPTH = 10_000  # how deep values may be nested, as in Dapr

# Flags of daprd that mean nothing without gRPC, actors, a control plane or another machine: taken and left alone.
IGNORED_FLAGS = (
    *("allowed-origins", "app-channel-address", "app-health-check-path", "app-health-probe-interval"),
    *("app-health-probe-timeout", "app-health-threshold", "app-max-concurrency", "app-protocol", "config"),
    *("control-plane-address", "dapr-block-shutdown-duration", "dapr-graceful-shutdown-seconds", "dapr-grpc-port"),
    *("dapr-http-max-request-size", "dapr-http-read-buffer-size", "dapr-internal-grpc-listen-address"),
    *("dapr-internal-grpc-port", "dapr-listen-addresses", "dapr-public-port", "enable-api-logging"),
    *("enable-app-health-check", "enable-metrics", "enable-mtls", "enable-profiling", "log-as-json", "log-level"),
    *("max-body-size", "metrics-listen-address", "metrics-port", "mode", "placement-host-address", "profile-port"),
    *("read-buffer-size", "scheduler-host-address", "sentry-address", "trust-domain", "unix-domain-socket"),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"local-sidecar: {message} (see local-sidecar --help)\n")


def _run(arguments: list[str]) -> int:
    parser = _Parser(prog="local-sidecar run", description="Start every app of a dapr.yaml with its sidecar.")
    parser.add_argument("-f", "--run-file", type=Path, required=True, help="the file, or the folder it is in")
    return run_file(parser.parse_args(arguments).run_file)


def main() -> None:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        sys.exit(_run(arguments[1:]))
    sys.exit(_sidecar(arguments))


def _sidecar(arguments: list[str]) -> int:
    parser = _Parser(prog="local-sidecar", description="Dapr's HTTP API for one app on this machine, without Dapr.")
    parser.add_argument("--app-id", required=True)
    parser.add_argument("--app-port", type=_port)
    parser.add_argument("--dapr-http-port", type=_port, default=DEFAULT_HTTP_PORT)
    parser.add_argument("--resources-path", "--components-path", type=Path, action="append", default=[])
    parser.add_argument("--state-path", type=Path, help="the SQLite file (default .local/state.db)")
    for flag in IGNORED_FLAGS:
        parser.add_argument(f"--{flag}", nargs="?", help=argparse.SUPPRESS)
    given = parser.parse_args([f"-{word}" if word[:1] == "-" and word[1:2].isalpha() else word for word in arguments])
    state_path = given.state_path or Path(os.environ.get("LOCAL_SIDECAR_STATE") or ".local/state.db")
    sys.setrecursionlimit(JSON_DEPTH)
    try:
        resources = load_resources(given.resources_path, given.app_id)
        for note in resources.notes:
            print(f"local-sidecar: {note}", file=sys.stderr)
        uvloop.run(serve(Options(given.app_id, given.app_port or None, given.dapr_http_port, resources, state_path)))
    except (ResourcesError, StartError) as problem:
        print(f"local-sidecar: {problem}", file=sys.stderr)
        return 1
    return 0


def _port(text: str) -> int:
    port = int(text)
    if port not in range(65536):
        raise ValueError
    return port
