"""Starts one of the tutorial's services unchanged: `python -m harness.tutorial_launcher FOLDER --port N`.

Its code contains a model's address and the sidecar's port 3501. No file of it is changed. Before the import the OpenAI
client in `agents` is replaced by one that calls `LLM_BASE_URL`. After the import the default of every `dapr_port`
parameter is set to `DAPR_HTTP_PORT`. A turn does the same work and costs the same.
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
    """The SDK's client with all its defaults, except for the address."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        del base_url  # the real one: nothing may leave this machine
        super().__init__(api_key=api_key, base_url=os.environ["LLM_BASE_URL"])


def load(folder: Path) -> ModuleType:
    """Import `main` and what it imports from the tutorial's folder, without writing byte code into it."""
    os.environ.setdefault("GEMINI_API_KEY", "bench")
    setattr(agents, "AsyncOpenAI", LoopbackOpenAI)  # noqa: B010 (mypy forbids to assign a class of another package)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    main = import_module("main")
    if Path(main.__file__ or "").parent != folder:
        raise SystemExit(f"main came from {main.__file__}, not from {folder}")
    return main


def set_sidecar_port(main: ModuleType, port: int) -> None:
    """Set the default of `dapr_port` in every function of `main` that has it as its last parameter."""
    for _, function in inspect.getmembers(main, inspect.isfunction):
        if list(inspect.signature(function).parameters)[-1:] == ["dapr_port"]:
            function.__defaults__ = (port,)


def run() -> None:
    """Serve on 127.0.0.1 as `uvicorn main:app` does."""
    parser = argparse.ArgumentParser(prog="harness.tutorial_launcher", description="Start a service of the tutorial.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    main = load(options.folder.resolve())
    set_sidecar_port(main, int(os.environ["DAPR_HTTP_PORT"]))
    app: FastAPI = main.app
    uvicorn.run(app, host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    run()
