"""Why a training ends without its adapter. Standard library only: faults are told before torch is imported."""

import errno
from collections.abc import Iterator

EXIT_DONE = 0
EXIT_STOPPED = 10
EXIT_CODES = {
    "internal": 1,
    "bad-config": 20,
    "bad-dataset": 21,
    "missing-model": 22,
    "out-of-memory": 23,
    "disk-full": 24,
    "diverged": 25,
}
"""Exit code of each fault class; ``src/qlora/classify-exit.ts`` has the same table."""

_MEMORY_TEXTS = ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")
# The last two are what torch.save says when the disk is full.
_DISK_TEXTS = (
    "no space left on device",
    "disk quota exceeded",
    "os error 28",
    "unexpected pos",
    "pytorchstreamwriter failed",
)
_NEXT = {
    "out-of-memory": "Use a smaller batch or maxLength, or free memory of the device.",
    "disk-full": "Free disk space; the training goes on from its newest complete checkpoint.",
}


class Fault(Exception):
    """An end that this trainer understands; ``next_step`` says what a person should do."""

    def __init__(self, fault_class: str, message: str, next_step: str | None = None) -> None:
        super().__init__(message)
        self.fault_class = fault_class
        self.message = message
        self.next_step = next_step


def as_fault(error: BaseException) -> Fault:
    """The fault behind anything raised: itself, or judged by type and text of it and its causes."""
    for cause in _causes(error):
        if isinstance(cause, Fault):
            return cause
        fault_class = _class_of(cause)
        if fault_class is not None:
            return Fault(fault_class, _first_line(cause), _NEXT[fault_class])
    return Fault("internal", f"{type(error).__name__}: {_first_line(error)}")


def _class_of(error: BaseException) -> str | None:
    text = str(error).lower()
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk-full"
    if any(part in text for part in _DISK_TEXTS):
        return "disk-full"
    # By name: torch may not be imported here.
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"OutOfMemoryError", "MemoryError"} or any(part in text for part in _MEMORY_TEXTS):
        return "out-of-memory"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
