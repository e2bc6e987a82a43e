"""The command line: `local-sidecar` with daprd's flags, or `local-sidecar run -f dapr.yaml`."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

import uvloop

from local_sidecar.components import ResourcesError, dapr_only_note, load_resources
from local_sidecar.multi_app.runner import run_file
from local_sidecar.sidecar import Options, StartError, serve
from local_sidecar.state_components import state_components

DEFAULT_HTTP_PORT = 3500
JSON_DEPTH = 10_000
"""Limit on the nesting of values: Go's limit for JSON."""

IGNORED_FLAGS = (
    *("config", "dapr-grpc-port", "dapr-internal-grpc-port", "dapr-listen-addresses", "dapr-public-port"),
    *("enable-metrics", "log-level", "placement-host-address", "scheduler-host-address"),
)
"""daprd's flags that a command line for both sidecars needs. They have no effect here, where there is no gRPC."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"local-sidecar: {message} (see local-sidecar --help)\n")


def main() -> None:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        sys.exit(_run(arguments[1:]))
    sys.exit(_sidecar(arguments))


def _run(arguments: list[str]) -> int:
    parser = _Parser(prog="local-sidecar run", description="Start every app of a dapr.yaml with its sidecar.")
    parser.add_argument("-f", "--run-file", type=Path, required=True, help="the file, or the folder that holds it")
    return run_file(parser.parse_args(arguments).run_file)


def _sidecar(arguments: list[str]) -> int:
    given = _sidecar_parser().parse_args(arguments)
    state_path = given.state_path or Path(os.environ.get("LOCAL_SIDECAR_STATE") or ".local/state.db")
    sys.setrecursionlimit(JSON_DEPTH)
    try:
        resources = load_resources(given.resources_path, given.app_id)
        stores = state_components(resources)
        for note in (*([] if given.started_by_run else map(dapr_only_note, resources.dapr_only)), *resources.notes):
            print(f"local-sidecar: {note}", file=sys.stderr)
        uvloop.run(serve(Options(given.app_id, given.app_port or None, given.dapr_http_port, stores, state_path)))
    except (ResourcesError, StartError) as error:
        print(f"local-sidecar: {error}", file=sys.stderr)
        return 1
    return 0


def _sidecar_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="local-sidecar", description="Dapr's HTTP API for one app on this machine, without Dapr.")
    parser.add_argument("--app-id", required=True)
    parser.add_argument("--app-port", type=_port)
    parser.add_argument("--dapr-http-port", type=_port, default=DEFAULT_HTTP_PORT)
    parser.add_argument("--resources-path", type=Path, action="append", default=[], help="may be repeated")
    parser.add_argument("--state-path", type=Path, help="the SQLite file (default .local/state.db)")
    parser.add_argument("--started-by-run", action="store_true", help=argparse.SUPPRESS)
    for flag in IGNORED_FLAGS:
        parser.add_argument(f"--{flag}", nargs="?", help=argparse.SUPPRESS)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if port not in range(65536):
        raise ValueError
    return port
