"""Which processes belong to a GPU job, told apart from recycled process and group numbers, and how they are ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

POLL_SECONDS = 0.05
KILL_PATIENCE_SECONDS = 10.0
MARKER = "TOWER_LAUNCH"
"""Environment variable that marks every descendant, so that one that left the group is still found."""


@dataclass(frozen=True)
class Process:
    """One row of /proc. `start_time` is in clock ticks since boot: with the boot id it tells a recycled pid apart."""

    alive: bool
    group: int
    start_time: int


@dataclass(frozen=True)
class Holder:
    """Who holds a lock; the content of `process.json` and of `<lock>.holder.json`, there in camelCase."""

    version: int
    run: str
    kind: str
    workflow_id: str
    state_directory: str
    pid: int
    process_group: int
    start_time: int
    boot_id: str
    trainer_pid: int | None
    trainer_start_time: int | None
    command_sha256: str | None
    launched_at: str

    @property
    def marker(self) -> str:
        return f"{self.boot_id}:{self.pid}:{self.start_time}"

    def to_json(self) -> dict[str, object]:
        return {_camel(name): value for name, value in asdict(self).items()}

    @classmethod
    def read(cls, path: Path) -> Holder | None:
        """The record at `path`; None when it is absent or not a record."""
        try:
            values = json.loads(path.read_bytes())
            return cls(**{name: values[_camel(name)] for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_process(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The command name stands in parentheses and may hold anything, also ")"; fields are counted after the last one.
    fields = text[text.rindex(")") + 2 :].split()
    # A dead main thread with living others still holds the GPU.
    alive = fields[0] not in "ZX" or int(fields[17]) > 1
    return Process(alive=alive, group=int(fields[2]), start_time=int(fields[19]))


def living_members(holder: Holder) -> Iterator[int]:
    """Living processes of the holder's group, and descendants that left it. Never those of a recycled group number."""
    if holder.boot_id != boot_id():
        return
    # A group number is not reused while a member lives: a leader or trainer that is still there proves the group.
    proofs = ((holder.pid, holder.start_time), (holder.trainer_pid, holder.trainer_start_time))
    known = any(
        pid is not None and (found := read_process(pid)) is not None and found.start_time == start
        for pid, start in proofs
    )
    marker = f"{MARKER}={holder.marker}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        process = read_process(int(entry))
        if process is None or not process.alive or process.start_time < holder.start_time:
            continue
        if (known and process.group == holder.process_group) or _carries(entry, marker):
            yield int(entry)


def _carries(pid: str, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def end_members(holder: Holder, grace_seconds: float) -> None:
    """SIGTERM, then SIGKILL after the grace time, to every living member but this process.

    Raises PermissionError when a member belongs to another user, TimeoutError when one survives SIGKILL.
    """
    started = time.monotonic()
    asked: set[int] = set()
    while members := [pid for pid in living_members(holder) if pid != os.getpid()]:
        waited = time.monotonic() - started
        if waited > grace_seconds + KILL_PATIENCE_SECONDS:
            raise TimeoutError(f"processes {members} of run {holder.run} survive SIGKILL")
        for pid in members:
            if waited >= grace_seconds or pid not in asked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if waited >= grace_seconds else signal.SIGTERM)
                asked.add(pid)
        time.sleep(POLL_SECONDS)
