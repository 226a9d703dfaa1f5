import json
from pathlib import Path

import pytest

from qlora.checkpoints import MARKER, Resumable, check_resumable, clear, remove_old, seal
from qlora.faults import Fault


def make_checkpoint(output: Path, step: int) -> Path:
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"0123456789")
    return folder


def test_a_sealed_checkpoint_names_its_files_and_can_be_resumed(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, 5)
    size = seal(folder, 5, "print", "adamw")
    marker = json.loads((folder / MARKER).read_text())
    assert marker["step"] == 5
    assert marker["files"]["weights"] == 10
    assert size == sum(marker["files"].values())
    assert check_resumable(folder, "print") == Resumable(5, "adamw")


def test_what_is_torn_or_of_other_work_is_refused(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, 5)
    with pytest.raises(Fault, match="no complete checkpoint"):
        check_resumable(folder, "print")
    seal(folder, 5, "print", "adamw")
    with pytest.raises(Fault, match="another configuration"):
        check_resumable(folder, "other")
    (folder / "weights").write_bytes(b"01234")
    with pytest.raises(Fault, match="wrong size of weights"):
        check_resumable(folder, "print")


def test_a_torn_checkpoint_never_takes_the_place_of_a_complete_one(tmp_path: Path) -> None:
    for step in (2, 9, 10):
        seal(make_checkpoint(tmp_path, step), step, "print", "adamw")
    make_checkpoint(tmp_path, 11)
    remove_old(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-11", "checkpoint-9"]


def test_saving_under_the_name_of_an_older_checkpoint_starts_from_nothing(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, 5)
    seal(folder, 5, "print", "adamw")
    clear(folder)
    clear(folder)
    assert not folder.exists()
