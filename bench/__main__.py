"""`python -m bench`: measures the tutorial's code and ours in one run and prints the figures.

TUTORIAL_DIR names the tutorial's folder. DAPR=1 uses Dapr's own sidecars (DAPRD=PATH) on the store of `components/`.
COMPONENTS=PATH names another resources folder. QUICK=1 measures less. PICTURE=FILE draws the table as SVG.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import aiohttp

from bench.load import CallError, new_client
from bench.measured import Bench
from bench.plan import FULL, QUICK
from bench.run import run
from harness.groups import ProcessGroup
from harness.processes import StartError
from harness.services import add_model
from harness.sidecars import Sidecars, sidecars_from_environment
from harness.tutorial import tutorial_missing


class MissingToolError(Exception):
    """Something that a run needs is not on this machine. The message says what to do."""


def switched_on(name: str) -> bool:
    """Return whether the environment variable is set and not 0."""
    return os.environ.get(name, "") not in ("", "0")


def check_tutorial() -> None:
    """Raise MissingToolError when the tutorial's code is not there."""
    if missing := tutorial_missing("main.py"):
        raise MissingToolError(missing)


def chosen_sidecars() -> Sidecars:
    """Return the local sidecars, or Dapr's with DAPR=1. Raises MissingToolError when its binary is not found."""
    sidecars = sidecars_from_environment()
    if not switched_on("DAPR"):
        return replace(sidecars, daprd=None)
    searched = f"{Path.home() / '.dapr' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    found = sidecars.daprd or shutil.which("daprd", path=searched)
    if not found or not Path(found).is_file():
        raise MissingToolError("no daprd: run `dapr init --slim`, or name the binary by DAPRD=PATH")
    return replace(sidecars, daprd=Path(found))


async def bench(folder: Path) -> str:
    """Start the stand-in model, measure, print. Returns the table as SVG."""
    plan = QUICK if switched_on("QUICK") else FULL
    check_tutorial()
    sidecars = chosen_sidecars()
    async with new_client() as client, ProcessGroup(folder) as group:
        model_url = add_model(group)
        await group.start_async()
        return await run(Bench(model_url, folder, sidecars, client), plan)


async def until_stopped(folder: Path) -> str:
    """Run the bench as a task that SIGTERM cancels, as Ctrl-C does, so that every process is ended."""
    task = asyncio.create_task(bench(folder))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def main() -> int:
    """Run the bench. The logs are kept only when something failed."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    start = time.monotonic()
    try:
        picture = asyncio.run(until_stopped(folder))
    except MissingToolError as error:
        shutil.rmtree(folder)  # nothing was started, so there are no logs
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except (StartError, CallError, aiohttp.ClientError) as error:
        print(f"bench: {error}\nThe services' logs are in {folder}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: stopped", file=sys.stderr)
        return 130
    print(f"\n{time.monotonic() - start:.0f} s")
    if file := os.environ.get("PICTURE"):
        Path(file).write_text(picture, encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
