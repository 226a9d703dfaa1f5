"""JSON events on stdout, one a line, and nothing else there (shape: ``src/training/trainer-events.ts``)."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

from .faults import EXIT_CODES, as_fault


class EventWriter:
    """Writes to an open file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def emit(self, event: str, **fields: object) -> None:
        """Writes one event and returns when the kernel has it; fields that are ``None`` are left out."""
        present = {name: value for name, value in fields.items() if value is not None}
        line = json.dumps({"event": event, "time": _now(), **present}, allow_nan=False)
        data = memoryview(f"{line}\n".encode())
        while data:
            data = data[os.write(self._descriptor, data) :]


def take_stdout() -> int:
    """A descriptor for events alone: what libraries print to stdout, also from C, goes to stderr from now on."""
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)
    return descriptor


def run_reporting_faults(work: Callable[[EventWriter], int]) -> int:
    """Runs the body of a command; what it raises becomes an ``error`` event, a traceback on stderr and an exit code."""
    events = EventWriter(take_stdout())
    try:
        return work(events)
    except Exception as error:
        fault = as_fault(error)
        if fault is not error:
            traceback.print_exc(file=sys.stderr)
        events.emit("error", **{"class": fault.fault_class}, message=fault.message, next=fault.next_step)
        return EXIT_CODES[fault.fault_class]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
