"""One tiny model for all tests. Children get one thread, as this process does, so that sums come out the same."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from qlora.tiny_model import make_tiny_model

    folder = tmp_path_factory.mktemp("model") / "tiny"
    make_tiny_model(folder)
    return folder


@pytest.fixture
def make_run(tiny_model: Path, tmp_path: Path) -> MakeRun:
    """Writes datasets and a configuration into a new folder; answers the configuration's path."""

    def make(name: str = "run", samples: int = 20, **overrides: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rows = [{"prompt": f"def add{n}(a, b):\n", "completion": f"    return a + b + {n}\n"} for n in range(samples)]
        write_lines(tmp_path / "train.jsonl", rows)
        write_lines(tmp_path / "heldout.jsonl", [{"completion": f"print({n}, 'is odd')"} for n in range(3)])
        config = {
            "baseModel": str(tiny_model),
            "trainDataset": str(tmp_path / "train.jsonl"),
            "heldOutDataset": str(tmp_path / "heldout.jsonl"),
            "output": str(folder / "output"),
            "device": "cpu",
            "gradientAccumulation": 2,
            "maxLength": 128,
            "learningRate": 2e-3,
            "checkpointEverySteps": 3,
            "lora": {"dropout": 0.2},
            **overrides,
        }
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        return path

    return make


def write_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
