"""``python -m qlora.evaluate <config.json>``: held-out loss of several adapters, sample by sample, on one base model.

The configuration holds the keys of the base model, ``heldOutDataset``, ``result`` (the JSON file to write) and
``adapters``: a list of ``{"name", "path"}``, where a ``path`` of null means the base model alone. Every adapter sees
the same tokens, so that the losses can be compared pair by pair.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .dataset import read_samples
from .durable import write_json
from .evaluation_config import read_evaluation_config
from .events import EventWriter, run_reporting_faults
from .faults import EXIT_DONE, Fault


def evaluate(arguments: Sequence[str], events: EventWriter) -> int:
    """Writes the result file, durably, after the last adapter; answers the exit code, raises faults."""
    if len(arguments) != 1:
        raise Fault("bad-config", f"expected one argument, the configuration, found {len(arguments)}")
    config = read_evaluation_config(Path(arguments[0]))
    samples, digest = read_samples(Path(config.held_out_dataset))
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")

    from .comparison import compare_adapters

    result = compare_adapters(config, samples, events)
    write_json(Path(config.result), {**result, "heldOutSha256": digest})
    return EXIT_DONE


def main() -> int:
    return run_reporting_faults(lambda events: evaluate(sys.argv[1:], events))


if __name__ == "__main__":
    sys.exit(main())
