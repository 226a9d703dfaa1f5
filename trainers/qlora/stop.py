"""Stop on request. Standard library only: the signal may come before torch is imported."""

import signal
from types import FrameType


class StopRequest:
    """Set by SIGUSR1: save a complete checkpoint after the current optimiser step, then stop."""

    def __init__(self) -> None:
        self.made = False

    def listen(self) -> None:
        signal.signal(signal.SIGUSR1, self._handle)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        self.made = True
