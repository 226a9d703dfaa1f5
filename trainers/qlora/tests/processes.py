"""The trainer as Tower runs it: a child process with events on stdout."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

TRAINERS = Path(__file__).parents[2]


def start_trainer(config: Path, *options: str) -> "subprocess.Popen[str]":
    with (config.parent / "stderr.log").open("a") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "qlora.train", str(config), *options],
            cwd=TRAINERS,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def events_of(stream: IO[str] | None) -> Iterator[dict[str, Any]]:
    assert stream is not None
    for line in stream:
        if line.endswith("\n"):
            yield json.loads(line)


def run_to_end(config: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    with start_trainer(config, *options) as process:
        events = list(events_of(process.stdout))
        return process.wait(timeout=60), events
