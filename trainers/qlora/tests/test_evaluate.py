import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from qlora.evaluate import evaluate
from qlora.faults import Fault
from qlora.tests.conftest import MakeRun
from qlora.tests.test_session import RecordedEvents, run


def test_losses_per_sample_of_base_and_adapter_agree_with_the_training(make_run: MakeRun, tmp_path: Path) -> None:
    trained = make_run(learningRate=1e-2)
    _, events = run(trained)
    source = json.loads(trained.read_text())
    keys = ("baseModel", "heldOutDataset", "maxLength", "device")
    config = {
        **{key: source[key] for key in keys},
        "result": str(tmp_path / "result.json"),
        "adapters": [
            {"name": "base", "path": None},
            {"name": "candidate", "path": str(trained.parent / "output" / "adapter")},
            {"name": "base again", "path": None},
        ],
    }
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(config))
    evaluated = RecordedEvents()
    assert evaluate([str(path)], evaluated) == 0
    assert [event["totalSteps"] for event in evaluated.named("start")] == [9]
    assert evaluated.named("step")[-1]["step"] == 9
    result = json.loads((tmp_path / "result.json").read_text())
    base, candidate, again = result["adapters"]
    assert candidate["meanLoss"] == pytest.approx(events.named("done")[0]["heldOutLoss"], rel=1e-6)
    assert len(candidate["samples"]) == len(base["samples"]) == result["samples"] == 3
    assert [tokens for _, tokens in base["samples"]] == [tokens for _, tokens in candidate["samples"]]
    assert base["samples"] == again["samples"] != candidate["samples"]


def test_a_loss_that_is_not_a_number_is_null_and_spoils_no_other(make_run: MakeRun, tmp_path: Path) -> None:
    trained = make_run()
    run(trained)
    source = json.loads(trained.read_text())
    broken = tmp_path / "broken"
    shutil.copytree(trained.parent / "output" / "adapter", broken)
    weights = load_file(broken / "adapter_model.safetensors")
    save_file(
        {name: torch.full_like(it, float("nan")) for name, it in weights.items()}, broken / "adapter_model.safetensors"
    )
    config = {
        **{key: source[key] for key in ("baseModel", "heldOutDataset", "maxLength", "device")},
        "result": str(tmp_path / "result.json"),
        "adapters": [{"name": "candidate", "path": str(broken)}, {"name": "base", "path": None}],
    }
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(config))
    assert evaluate([str(path)], RecordedEvents()) == 0
    candidate, base = json.loads((tmp_path / "result.json").read_text())["adapters"]
    assert candidate["meanLoss"] is None and candidate["samples"][0][0] is None
    assert base["meanLoss"] > 0


def test_every_fault_of_an_evaluation_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "adapter_config.json").write_text("{}")
    (tmp_path / "fake" / "simulated.json").write_text("{}")
    config = {
        "baseModel": "org/model",
        "result": "r.json",
        "adapters": [{"name": "a", "path": str(tmp_path / "nowhere")}, {"name": "a", "path": str(tmp_path / "fake")}],
    }
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(config))
    with pytest.raises(Fault) as raised:
        evaluate([str(path)], RecordedEvents())
    for part in ("heldOutDataset: found nothing", "adapters[0].path", "of the simulated trainer", "a name twice"):
        assert part in raised.value.message
