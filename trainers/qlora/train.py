"""``python -m qlora.train <config.json> [--resume-from FOLDER] [--set name=json]…``: one training run.

Events go to stdout, text to stderr. Exit codes: 0 done, 10 stopped after SIGUSR1 with a complete checkpoint, else
the class of the fault (``faults.py``). What needs no torch is checked before its import, which takes seconds.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .checkpoints import check_resumable
from .config import read_command_line
from .dataset import read_samples
from .events import EventWriter, run_reporting_faults
from .faults import EXIT_DONE
from .result import finished_result
from .stop import StopRequest


def train(arguments: Sequence[str], events: EventWriter, stop: StopRequest) -> int:
    """Trains to the end or until ``stop``; answers the exit code, raises faults."""
    config = read_command_line(arguments)
    samples, digest = read_samples(Path(config.train_dataset))
    held_out = [] if config.held_out_dataset is None else read_samples(Path(config.held_out_dataset))[0]
    fingerprint = hashlib.sha256(f"{config.fingerprint} {digest}".encode()).hexdigest()
    finished = finished_result(Path(config.output), fingerprint)
    if finished is not None:
        finished.announce(events)
        return EXIT_DONE
    resumed = None if config.resume_from is None else check_resumable(Path(config.resume_from), fingerprint)
    # One process, one device: with more in sight, transformers would spread the batch over all of them.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")

    from .session import Run, run_session

    return run_session(Run(config, samples, held_out, fingerprint, resumed), events, stop)


def main() -> int:
    stop = StopRequest()
    stop.listen()
    return run_reporting_faults(lambda events: train(sys.argv[1:], events, stop))


if __name__ == "__main__":
    sys.exit(main())
