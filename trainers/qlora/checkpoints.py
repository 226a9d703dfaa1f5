"""Complete checkpoints: a folder counts only when its marker, written last, fits its files."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .durable import sync_tree, write_json
from .faults import Fault

MARKER = "complete.json"
_STATE = "qlora_state.json"


@dataclass(frozen=True)
class Resumable:
    """A complete checkpoint of this run."""

    step: int
    optimiser: str


def seal(folder: Path, step: int, fingerprint: str, optimiser: str) -> int:
    """Makes a saved checkpoint durable and complete; answers its bytes."""
    write_json(folder / _STATE, {"version": 1, "fingerprint": fingerprint, "optimiser": optimiser})
    files = sync_tree(folder)
    write_json(folder / MARKER, {"step": step, "files": files})
    return sum(files.values())


def clear(folder: Path) -> None:
    """Removes what an earlier launch left under this name, marker first: a cut removal must not look complete."""
    (folder / MARKER).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def check_resumable(folder: Path, fingerprint: str) -> Resumable:
    """Checks a checkpoint; raises ``bad-config`` when it is torn or of other work."""
    next_step = "Resume from another checkpoint of this run, or start without one."
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in marker["files"]}
    except (OSError, ValueError, KeyError) as error:
        raise Fault("bad-config", f"{folder} is no complete checkpoint: {error}", next_step) from error
    if sizes != marker["files"]:
        wrong = sorted(name for name, size in sizes.items() if size != marker["files"][name])
        raise Fault("bad-config", f"{folder} is no complete checkpoint: wrong size of {', '.join(wrong)}", next_step)
    if state["fingerprint"] != fingerprint:
        raise Fault("bad-config", f"{folder} is of another configuration or dataset", next_step)
    return Resumable(int(marker["step"]), str(state["optimiser"]))


def remove_old(output: Path, keep: int) -> None:
    """Leaves the newest ``keep`` complete checkpoints; torn ones are not counted and not touched."""
    complete = [
        (int(match[1]), path)
        for path in output.iterdir()
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and (path / MARKER).exists()
    ]
    for _, path in sorted(complete)[:-keep]:
        clear(path)
