"""`python -m bench`: measures the tutorial's code and ours in one run and prints what it found.

TUTORIAL_DIR names the tutorial's folder, DAPR=1 takes Dapr's own sidecars (DAPRD=PATH) on the Redis at localhost:6379,
QUICK=1 measures less.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from bench.load import CallError, new_client
from bench.plan import FULL, QUICK
from bench.processes import Processes, StartError, answers, free_ports
from bench.run import run
from bench.sidecars import ROOT, MissingToolError, sidecars
from bench.systems import Bench, url


def asked(name: str) -> bool:
    """Whether the environment switches that on."""
    return os.environ.get(name, "") not in ("", "0")


def tutorial_folder() -> Path:
    """The tutorial's folder. Raises MissingToolError where it is not."""
    folder = Path(os.environ.get("TUTORIAL_DIR") or ROOT.parent / "shared" / "tutorial").resolve()
    if not (folder / "chat_service" / "main.py").is_file():
        raise MissingToolError(f"no tutorial at {folder}: name its folder by TUTORIAL_DIR=PATH")
    return folder


async def bench(folder: Path) -> None:
    """Start the model's endpoint, measure, print."""
    plan = QUICK if asked("QUICK") else FULL
    tutorial, chosen = tutorial_folder(), sidecars(dapr=asked("DAPR"))
    (port,) = free_ports(1)
    async with new_client() as client, Processes(folder) as group:
        group.start("model", [sys.executable, "-m", "bench.model_endpoint", "--port", str(port)], cwd=ROOT)
        await group.until("the model endpoint", lambda: answers(client, f"{url(port)}/requests"))
        await run(Bench(tutorial, f"{url(port)}/v1", folder, chosen, client), plan)


async def until_stopped(folder: Path) -> None:
    """The bench as a task that SIGTERM cancels, as Ctrl-C does, so that every child is ended."""
    task = asyncio.create_task(bench(folder))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def main() -> int:
    """Run; the logs stay only where something went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    start = time.monotonic()
    try:
        asyncio.run(until_stopped(folder))
    except MissingToolError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except (StartError, CallError, aiohttp.ClientError) as error:
        print(f"bench: {error}\nThe services' logs are in {folder}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: stopped", file=sys.stderr)
        return 130
    print(f"\n{time.monotonic() - start:.0f} s")
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
