"""Training on a real tiny model in this process: exactness, pauses, faults."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from qlora.events import EventWriter
from qlora.faults import Fault
from qlora.stop import StopRequest
from qlora.tests.conftest import MakeRun
from qlora.train import train


class RecordedEvents(EventWriter):
    """Keeps the events and tells a listener of each."""

    def __init__(self, listener: Callable[[dict[str, Any]], None] = lambda event: None) -> None:
        super().__init__(os.open(os.devnull, os.O_WRONLY))
        self.all: list[dict[str, Any]] = []
        self._listener = listener

    def emit(self, event: str, **fields: object) -> None:
        super().emit(event, **fields)
        self.all.append({"event": event, **fields})
        self._listener(self.all[-1])

    def named(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.all if item["event"] == event]


def run(config: Path, *options: str, stop_at: int | None = None) -> tuple[int, RecordedEvents]:
    torch.set_num_threads(1)
    stop = StopRequest()

    def listen(event: dict[str, Any]) -> None:
        stop.made = stop.made or (event["event"] == "step" and event["step"] == stop_at)

    events = RecordedEvents(listen)
    return train([str(config), *options], events, stop), events


def adapter_of(config: Path) -> bytes:
    return (config.parent / "output" / "adapter" / "adapter_model.safetensors").read_bytes()


def test_a_run_learns_and_leaves_a_whole_adapter_without_pickles(make_run: MakeRun) -> None:
    config = make_run(learningRate=1e-2, epochs=2)
    code, events = run(config)
    assert code == 0
    [start], steps, [done] = events.named("start"), events.named("step"), events.named("done")
    assert (start["totalSteps"], start["resumedFromStep"], start["simulated"]) == (20, 0, False)
    assert start["facts"]["quantisation"] == "nf4"
    assert [step["step"] for step in steps] == list(range(1, 21))
    assert steps[-1]["loss"] < steps[0]["loss"] - 1
    assert done["trainLoss"] == pytest.approx(sum(step["loss"] for step in steps) / 20)
    assert [item["step"] for item in events.named("eval")] == [10, 20]
    adapter = config.parent / "output" / "adapter"
    names = {path.name for path in adapter.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    weights = load_file(adapter / "adapter_model.safetensors")
    assert all(bool(tensor.any()) for name, tensor in weights.items() if ".lora_B." in name)

    code, again = run(config)
    assert (code, [event["event"] for event in again.all]) == (0, ["done"])
    assert again.all[0]["heldOutLoss"] == done["heldOutLoss"]
    (config.parent.parent / "train.jsonl").write_text('{"completion": "other"}\n')
    with pytest.raises(Fault, match="already holds the adapter of another"):
        run(config)


@pytest.mark.parametrize("optimiser", ["adamw", "adamw8bit"])
def test_a_stopped_and_resumed_run_ends_with_the_same_bytes(make_run: MakeRun, optimiser: str) -> None:
    undisturbed = make_run("undisturbed", epochs=2, optimiser=optimiser)
    assert run(undisturbed)[0] == 0
    stopped = make_run("stopped", epochs=2, optimiser=optimiser)
    executed: list[int] = []
    options: list[str] = []
    # In the first epoch; at the border of the epochs; after an evaluation between two steps.
    for stop_at in (4, 9, 12):
        code, events = run(stopped, *options, stop_at=stop_at)
        executed += [step["step"] for step in events.named("step")]
        [last] = events.named("stopped")
        assert (code, last["step"]) == (10, stop_at + 1)
        options = ["--resume-from", str(stopped.parent / "output" / last["path"])]
    code, events = run(stopped, *options)
    executed += [step["step"] for step in events.named("step")]
    assert code == 0
    assert executed == list(range(1, 21))
    assert adapter_of(stopped) == adapter_of(undisturbed)


def test_a_rung_of_the_memory_ladder_goes_on_from_the_checkpoint(make_run: MakeRun) -> None:
    config = make_run(batchSize=2, gradientAccumulation=2)
    _, events = run(config, stop_at=1)
    checkpoint = str(config.parent / "output" / events.named("stopped")[0]["path"])
    rung = ["batchSize=1", "gradientAccumulation=4", 'optimiser="adamw8bit"', "maxLength=64"]
    code, events = run(config, "--resume-from", checkpoint, *(part for item in rung for part in ("--set", item)))
    [start] = events.named("start")
    assert (code, start["resumedFromStep"], start["totalSteps"]) == (0, 2, 5)
    assert start["facts"]["optimiserState"] == "new"
    assert [step["step"] for step in events.named("step")] == [3, 4, 5]


def test_a_loss_that_is_no_number_ends_the_run(make_run: MakeRun, tiny_model: Path, tmp_path: Path) -> None:
    # Whether too high a learning rate overflows depends on the processor; a weight that is no number does not.
    poisoned = Path(copytree(tiny_model, tmp_path / "poisoned"))
    weights = load_file(poisoned / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, poisoned / "model.safetensors", {"format": "pt"})
    with pytest.raises(Fault) as raised:
        run(make_run(baseModel=str(poisoned)))
    assert raised.value.fault_class == "diverged"


@pytest.mark.parametrize("model", ["tower-tests/no-such-model", "/nowhere/model"])
def test_a_missing_model_says_what_to_do(make_run: MakeRun, model: str) -> None:
    with pytest.raises(Fault) as raised:
        run(make_run(baseModel=model))
    assert raised.value.fault_class == "missing-model"
    assert model in raised.value.message
    assert raised.value.next_step


def test_target_modules_that_the_model_lacks_are_a_fault_of_the_configuration(make_run: MakeRun) -> None:
    with pytest.raises(Fault, match=r"lora\.targetModules: found nothing_proj") as raised:
        run(make_run(lora={"targetModules": ["nothing_proj"]}))
    assert raised.value.fault_class == "bad-config"
