"""Starts one of the tutorial's services as it stands: `python -m bench.tutorial_launcher FOLDER --port N`.

Its code has a model's address and the sidecar's port 3501 written into it. Nothing in its files is changed: before the
import the OpenAI client that it takes from `agents` is one that goes to `LLM_BASE_URL`, and after it the default of
its `dapr_port` parameters is `DAPR_HTTP_PORT`. What a turn does and costs is untouched.
"""

import argparse
import inspect
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import agents
import openai
import uvicorn
from fastapi import FastAPI


class LoopbackOpenAI(openai.AsyncOpenAI):
    """The SDK's client with all its defaults, except that the address is the bench's endpoint."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        del base_url  # the real one; the bench never leaves the machine
        super().__init__(api_key=api_key, base_url=os.environ["LLM_BASE_URL"])


def load(folder: Path) -> ModuleType:
    """Import `main` from the tutorial's folder, with the folder as the place that its own imports come from."""
    os.environ.setdefault("GEMINI_API_KEY", "bench")
    setattr(agents, "AsyncOpenAI", LoopbackOpenAI)  # noqa: B010 (the name is theirs to bind, not ours to redefine)
    sys.path.insert(0, str(folder))
    main = import_module("main")
    if Path(main.__file__ or "").parent != folder:
        raise SystemExit(f"main came from {main.__file__}, not from {folder}")
    return main


def set_sidecar_port(main: ModuleType, port: int) -> None:
    """Give every function of `main` whose last parameter is `dapr_port` that default."""
    for _, function in inspect.getmembers(main, inspect.isfunction):
        if list(inspect.signature(function).parameters)[-1:] == ["dapr_port"]:
            function.__defaults__ = (port,)


def run() -> None:
    """Serve as `uvicorn main:app` does, on the loopback address."""
    parser = argparse.ArgumentParser(prog="bench.tutorial_launcher", description="Start a service of the tutorial.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    main = load(options.folder.resolve())
    set_sidecar_port(main, int(os.environ["DAPR_HTTP_PORT"]))
    app: FastAPI = main.app
    uvicorn.run(app, host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    run()
