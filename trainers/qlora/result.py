"""What a finished training left beside its adapter. Standard library only."""

import json
from dataclasses import dataclass
from pathlib import Path

from .durable import write_json
from .events import EventWriter
from .faults import Fault

_FILE = "training_result.json"


@dataclass(frozen=True)
class TrainingResult:
    """Losses are means per token; ``fingerprint`` is of the configuration and the dataset."""

    fingerprint: str
    step: int
    train_loss: float
    held_out_loss: float | None

    def write(self, folder: Path) -> None:
        facts = {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "trainLoss": self.train_loss,
            "heldOutLoss": self.held_out_loss,
        }
        write_json(folder / _FILE, facts)

    def announce(self, events: EventWriter) -> None:
        events.emit("done", step=self.step, trainLoss=self.train_loss, heldOutLoss=self.held_out_loss)


def finished_result(output: Path, fingerprint: str) -> TrainingResult | None:
    """The result of an earlier launch that finished; an adapter of other work is a ``bad-config`` fault."""
    path = output / "adapter" / _FILE
    if not path.exists():
        return None
    raw = json.loads(path.read_text(encoding="utf-8"))
    if raw["fingerprint"] != fingerprint:
        message = f"{output} already holds the adapter of another configuration or dataset"
        raise Fault("bad-config", message, "Use another output folder.")
    return TrainingResult(raw["fingerprint"], raw["step"], raw["trainLoss"], raw["heldOutLoss"])
