"""How the sidecars of this machine find each other: each keeps a locked file in one folder.

The lock shows that the sidecar is alive. The operating system releases it when the process ends, also after kill -9,
so an entry that a dead sidecar left behind is recognised and removed.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Instance:
    """One sidecar and its app: their ports on 127.0.0.1, and the token that the app expects."""

    app_id: str
    sidecar_port: int
    app_port: int | None
    app_token: str


class Announcement:
    """A sidecar's own entry in the registry, until it is withdrawn or the process ends."""

    def __init__(self, root: Path, instance: Instance) -> None:
        folder = _folder(root, instance.app_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{time.time_ns():020d}-{os.getpid()}"
        draft = self._path.with_name(f".{self._path.name}")
        self._descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.write(self._descriptor, json.dumps(asdict(instance)).encode())
        os.rename(draft, self._path)

    def withdraw(self) -> None:
        """Remove the entry. Repeating it has no effect."""
        self._path.unlink(missing_ok=True)


class Registry:
    """The living sidecars by app id."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, dict[str, tuple[int, Instance]]] = {}
        self._turns: dict[str, int] = {}

    def in_turn(self, app_id: str) -> list[Instance]:
        """The living instances of an app id, rotated by one at each call."""
        living = list(self._living(app_id))
        if len(living) > 1:
            turn = self._turns.get(app_id, 0) % len(living)
            self._turns[app_id] = turn + 1
            living = living[turn:] + living[:turn]
        return living

    def _living(self, app_id: str) -> Iterator[Instance]:
        folder = _folder(self._root, app_id)
        names = _entries(folder)
        known = self._known.setdefault(app_id, {})
        for withdrawn in known.keys() - set(names):
            os.close(known.pop(withdrawn)[0])
        for name in names:
            try:
                descriptor, instance = known[name] = known.get(name) or _read(folder / name)
            except FileNotFoundError:
                continue  # withdrawn since the folder was listed
            if _is_locked(descriptor):
                yield instance
            else:  # its sidecar was killed
                os.close(known.pop(name)[0])
                (folder / name).unlink(missing_ok=True)


def _folder(root: Path, app_id: str) -> Path:
    return root / quote(app_id, safe="")


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []


def _read(entry: Path) -> tuple[int, Instance]:
    descriptor = os.open(entry, os.O_RDONLY)
    return descriptor, Instance(**json.loads(entry.read_bytes()))


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
