"""``python -m qlora.probe --device cpu|cuda``: proves an environment by one real 4-bit training step.

Prints one JSON line: ``ok``, then versions and device, or class and message of the fault.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from .config import parse_config
from .dataset import Sample
from .events import EventWriter, take_stdout
from .faults import EXIT_CODES, EXIT_DONE, Fault, as_fault
from .stop import StopRequest
from .tiny_model import make_tiny_model

_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "tokenizers")


class _Facts(EventWriter):
    """Keeps the facts of the start instead of printing events."""

    facts: dict[str, object]

    def emit(self, event: str, **fields: object) -> None:
        if event == "start":
            facts = fields["facts"]
            self.facts = dict(facts) if isinstance(facts, dict) else {}


def _train_one_step(device: str, events: EventWriter) -> None:
    from .session import Run, run_session

    with tempfile.TemporaryDirectory(prefix="tower-probe-") as name:
        folder = Path(name)
        make_tiny_model(folder / "model")
        raw = {
            "baseModel": str(folder / "model"),
            "trainDataset": str(folder / "train.jsonl"),
            "output": str(folder / "output"),
            "device": device,
            "gradientAccumulation": 1,
            "maxLength": 64,
        }
        config = parse_config(raw, {}, folder / "config.json")
        sample = Sample("def add(first, second):\n", "    return first + second\n")
        run_session(Run(config, [sample], [], config.fingerprint, None), events, StopRequest())
        if not (folder / "output" / "adapter" / "adapter_model.safetensors").is_file():
            raise Fault("internal", "the training step left no adapter")


def _print(descriptor: int, report: dict[str, object]) -> None:
    os.write(descriptor, f"{json.dumps(report)}\n".encode())


def main() -> int:
    parser = argparse.ArgumentParser(prog="qlora.probe", description="Prove the trainer's environment.")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    device = parser.parse_args().device
    output = take_stdout()
    events = _Facts(output)
    try:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
        _train_one_step(device, events)
    except Exception as error:
        fault = as_fault(error)
        _print(output, {"ok": False, "class": fault.fault_class, "message": fault.message})
        return EXIT_CODES[fault.fault_class]
    versions = {library: version(library) for library in _LIBRARIES}
    _print(output, {"ok": True, "python": platform.python_version(), **events.facts, **versions})
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
