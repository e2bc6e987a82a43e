"""A recorded scenario: its exchanges are played in order, and the responses compared with the recorded ones."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.contract.recorded_exchange import Json, Response, Table, Variables, described, send

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_BODY_FIELDS = ("body", "text", "length", "sha256")


@dataclass(frozen=True)
class Target:
    """The sidecar under test, and the app ids that it can call."""

    base: str
    callee: str
    down: str
    store: str


def scenarios(recording: Path) -> dict[str, list[Table]]:
    """The steps of a recording by scenario."""
    found: dict[str, list[Table]] = {}
    with recording.open(encoding="utf-8") as lines:
        for line in lines:
            step = json.loads(line)
            found.setdefault(step["scenario"], []).append(step)
    return found


def needs_of(steps: list[Table]) -> set[str]:
    """What a scenario needs: `invoke`, an echo app, or `down`, an app that does not listen."""
    needs = steps[0].get("needs")
    return set(map(str, needs)) if isinstance(needs, list) else set()


def play(steps: list[Table], target: Target) -> list[str]:
    """Play a scenario with keys of its own. Returns the differences."""
    variables = {"p": f"k{uuid.uuid4().hex[:10]}-", "store": target.store, "callee": target.callee, "down": target.down}
    variables["self"] = json.loads(send(target.base, {"method": "GET", "path": "/v1.0/metadata"}).body)["id"]
    return [
        f"step {step['step']}: {difference}"
        for step in steps
        for difference in differences(step, _played(step, target.base, variables))
    ]


def play_all(recorded: dict[str, list[Table]], target: Target) -> dict[str, list[str]]:
    """Play scenarios, all at once, as most of their time is waiting. Returns the differences of each."""
    with ThreadPoolExecutor(len(recorded)) as threads:
        return dict(zip(recorded, threads.map(lambda steps: play(steps, target), recorded.values()), strict=True))


def differences(step: Table, got: Table) -> Iterator[str]:
    """The differences that the step compares."""
    wanted = step["response"]
    assert isinstance(wanted, dict)
    if got["status"] != wanted["status"]:
        yield f"status {got['status']}, recorded {wanted['status']}: {_text(got)[:300]}"
    if step.get("match") == "status":
        return
    if got["headers"] != wanted["headers"]:
        yield f"headers {got['headers']}, recorded {wanted['headers']}"
    if got.get("streamed") != wanted.get("streamed"):
        yield f"streamed: {got.get('streamed')}, recorded {wanted.get('streamed')}"
    if step.get("match") == "contains":
        pieces = step.get("contains")
        assert isinstance(pieces, list)
        yield from (f"body lacks {piece}: {_text(got)[:300]}" for piece in pieces if str(piece) not in _text(got))
    elif _body(got) != _body(wanted):
        yield f"body {_body(got)[:400]}, recorded {_body(wanted)[:400]}"


def _played(step: Table, base: str, variables: dict[str, str]) -> Table:
    wait, cut = step.get("wait_s"), step.get("cut_after_s")
    time.sleep(wait if isinstance(wait, int | float) else 0)
    request = _filled(step["request"], variables)
    assert isinstance(request, dict)
    response = send(base, request, cut if isinstance(cut, int | float) else None)
    _capture(step, response, variables)
    got = described(response, Variables(variables, request), bool(step.get("spelling")))
    return {**got, "streamed": response.early} if step.get("stream") else got


def _capture(step: Table, response: Response, variables: dict[str, str]) -> None:
    rules = step.get("capture")
    for name, rule in rules.items() if isinstance(rules, dict) else ():
        kind, _, header = str(rule).partition(":")
        assert kind == "header", f"only headers are captured in this recording, not {rule}"
        variables[name] = response.header(header)


def _filled(value: Json, variables: dict[str, str]) -> Json:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {str(_filled(name, variables)): _filled(item, variables) for name, item in value.items()}
    return value


def _body(response: Table) -> str:
    return json.dumps({name: response[name] for name in _BODY_FIELDS if name in response}, sort_keys=True)


def _text(response: Table) -> str:
    """The body as the strings of `contains` are written."""
    body = (
        json.dumps(response["body"], sort_keys=True, ensure_ascii=False) if "body" in response else response.get("text")
    )
    return str(body)
