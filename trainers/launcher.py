"""Leader of a GPU job's process group: takes the GPU's kernel lock, starts the trainer, records how it ended.

    launcher.py run <spec.json>     start a trainer that outlives its caller
    launcher.py hold <spec.json>    hold the lock until stdin closes (the caller dies or lets go) or SIGTERM
    launcher.py probe <lock>        say whether the lock is held, and by whom

Every mode answers one JSON line on stdout. The lock is `flock(2)` on an open file description that the trainer
inherits as descriptor 0 (Python closes inherited descriptors above 2 in every grandchild), so the kernel keeps the GPU
locked until the last member of the group is gone, whatever happens to this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from process_group import MARKER, Holder, boot_id, end_members, living_members, read_process

EXIT_FAILED = 71
EXIT_BUSY = 75
EXIT_STOPPED = 76

LOCK_PATIENCE_SECONDS = 0.3
"""Long enough to ride out a probe, which holds the lock for microseconds."""
Answer = dict[str, object]


class RefusedError(Exception):
    """The lock was not taken or the trainer not started; `answer` says why."""

    def __init__(self, exit_code: int, answer: Answer) -> None:
        super().__init__(str(answer))
        self.exit_code = exit_code
        self.answer = answer


def write_record(path: Path, value: object) -> None:
    """Temporary name, fsync, rename: a reader sees the old record or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def holder_path(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.holder.json")


def living_holder(lock: Path) -> dict[str, object] | None:
    """The recorded holder, unless nothing of it lives (then the record is older than the present holder)."""
    holder = Holder.read(holder_path(lock))
    if holder is None or next(living_members(holder), None) is None:
        return None
    return holder.to_json()


def open_lock(lock: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    # Several users may share the GPU: readable by all suffices for flock, and the caller's umask must not narrow it.
    mask = os.umask(0)
    try:
        return os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    finally:
        os.umask(mask)


def take_lock(lock: Path) -> int:
    """The descriptor that holds the lock; raises RefusedError (busy) when another group holds it."""
    descriptor = open_lock(lock)
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RefusedError(EXIT_BUSY, {"status": "busy", "holder": living_holder(lock)}) from None
            time.sleep(0.02)
        else:
            return descriptor


def become_holder(spec: dict[str, Any], lock: Path, argv: list[str] | None) -> Holder:
    """Ends what is left of the last holder (members without the lock, say with stdin closed) and takes its place."""
    last = Holder.read(holder_path(lock))
    if last is not None:
        try:
            end_members(last, float(spec.get("graceSeconds", 10)))
        except PermissionError:
            raise RefusedError(EXIT_BUSY, {"status": "busy", "holder": last.to_json()}) from None
    own = read_process(os.getpid())
    if own is None:
        raise OSError("/proc is not mounted")
    holder = Holder(
        version=1,
        run=str(spec["run"]),
        kind=str(spec["kind"]),
        workflow_id=str(spec["workflowId"]),
        state_directory=str(spec["stateDirectory"]),
        pid=os.getpid(),
        process_group=os.getpgid(0),
        start_time=own.start_time,
        boot_id=boot_id(),
        trainer_pid=None,
        trainer_start_time=None,
        command_sha256=None if argv is None else hashlib.sha256("\0".join(argv).encode()).hexdigest(),
        launched_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    write_record(holder_path(lock), holder.to_json())
    return holder


def answer(value: Answer) -> None:
    """One line to the caller, which may be gone already."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, (json.dumps(value) + "\n").encode())


def lead_group() -> None:
    """The caller starts this process as a group leader; if not, ending the group must not reach the caller."""
    if os.getpgid(0) != os.getpid():
        os.setsid()


def stay_alive(*signals: signal.Signals) -> None:
    # A handler, not SIG_IGN: an ignored signal would stay ignored in the trainer.
    for number in signals:
        signal.signal(number, lambda *_: None)


def run(spec: dict[str, Any]) -> int:
    """Starts the trainer, waits for it, records its end and ends what it left behind."""
    stay_alive(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    lock, directory = Path(spec["lock"]), Path(spec["launchDirectory"])
    argv = [str(argument) for argument in spec["argv"]]
    grace_seconds = float(spec["graceSeconds"])
    descriptor = take_lock(lock)
    newer = [path.parent.name for path in directory.parent.glob("*/process.json") if path.parent.name > directory.name]
    if newer:
        message = f"launch {max(newer)} has already started"
        raise RefusedError(EXIT_FAILED, {"status": "failed", "message": message, "permanent": False})
    holder = become_holder(spec, lock, argv)
    write_record(directory / "process.json", holder.to_json())
    # Only now: a stop writes its file first and looks for a process second, so one of the two sees the other.
    if Path(spec["stopFile"]).exists():
        record_end(directory, not_started="stopped before the trainer was started")
        raise RefusedError(EXIT_STOPPED, {"status": "stopped"})
    try:
        trainer = start_trainer(spec, argv, descriptor, holder)
    except OSError as error:
        record_end(directory, not_started=str(error))
        raise
    try:
        found = read_process(trainer.pid)
        holder = replace(
            holder, trainer_pid=trainer.pid, trainer_start_time=None if found is None else found.start_time
        )
        write_record(directory / "process.json", holder.to_json())
        write_record(holder_path(lock), holder.to_json())
    except OSError:
        # A trainer without a record could be neither adopted nor stopped.
        trainer.kill()
        trainer.wait()
        end_members(holder, 0)
        raise
    answer({"status": "started", "process": holder.to_json()})
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    code = trainer.wait()
    try:
        record_end(directory, code=code)
    finally:
        end_members(holder, grace_seconds)
    return 0


def start_trainer(spec: dict[str, Any], argv: list[str], lock: int, holder: Holder) -> subprocess.Popen[bytes]:
    directory = Path(spec["launchDirectory"])
    with open(directory / "stdout.log", "ab") as stdout, open(directory / "stderr.log", "ab") as stderr:
        return subprocess.Popen(
            argv,
            cwd=spec["workingDirectory"],
            env={**os.environ, MARKER: holder.marker},
            stdin=lock,
            stdout=stdout,
            stderr=stderr,
        )


def record_end(directory: Path, code: int | None = None, not_started: str | None = None) -> None:
    """`exit.json`; a negative code is Python's way to say which signal ended the trainer."""
    by_signal = code is not None and code < 0
    value: dict[str, object] = {
        "version": 1,
        "code": None if by_signal else code,
        "signal": signal.Signals(-code).name if code is not None and by_signal else None,
        "endedAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if not_started is not None:
        value["notStarted"] = not_started
    write_record(directory / "exit.json", value)


def hold(spec: dict[str, Any]) -> int:
    """Holds the lock while the caller's end of stdin is open. The kernel frees it when this process ends."""
    stay_alive(signal.SIGINT, signal.SIGHUP)
    lock = Path(spec["lock"])
    take_lock(lock)
    holder = become_holder(spec, lock, None)
    answer({"status": "held", "process": holder.to_json()})
    while os.read(0, 4096):
        pass
    return 0


def probe(lock: Path) -> int:
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        answer({"held": False, "holder": None})
        return 0
    try:
        # Shared, so that two probes do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        answer({"held": True, "holder": living_holder(lock)})
    else:
        answer({"held": False, "holder": None})
    return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["run" | "hold" as mode, spec_path]:
            try:
                spec = json.loads(Path(spec_path).read_bytes())
                lead_group()
                return run(spec) if mode == "run" else hold(spec)
            except RefusedError as refused:
                answer(refused.answer)
                return refused.exit_code
            except (OSError, ValueError, KeyError, TypeError) as error:
                permanent = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError)
                answer({"status": "failed", "message": f"{type(error).__name__}: {error}", "permanent": permanent})
                return EXIT_FAILED
        case ["probe", lock]:
            return probe(Path(lock))
        case _:
            print(__doc__, file=sys.stderr)
            return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
