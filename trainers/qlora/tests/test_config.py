import json
import subprocess
import sys
from pathlib import Path

import pytest

from qlora.config import parse_config, read_command_line
from qlora.faults import Fault
from qlora.tests.processes import TRAINERS

MINIMAL = {"baseModel": "org/model", "trainDataset": "train.jsonl", "output": "out"}


def test_defaults_are_those_of_the_replaced_system() -> None:
    config = parse_config(MINIMAL, {}, Path("c.json"))
    assert (config.epochs, config.batch_size, config.gradient_accumulation, config.max_length) == (1, 1, 4, 1024)
    assert (config.learning_rate, config.quant_type, config.double_quantisation) == (2e-4, "nf4", True)
    assert (config.lora.r, config.lora.alpha, config.lora.dropout) == (16, 32, 0.05)
    assert config.lora.target_modules == ["q_proj", "v_proj"]


def test_tells_every_fault_at_once_with_path_found_and_expected() -> None:
    raw = {"epochs": "3", "loadIn4bit": 1, "quantType": "int4", "lora": {"r": 0, "rank": 4}, "learning_rate": 1}
    with pytest.raises(Fault) as raised:
        parse_config(raw, {}, Path("c.json"))
    assert raised.value.fault_class == "bad-config"
    message = raised.value.message
    for part in (
        'epochs: found "3", expected an integer of at least 1',
        "loadIn4bit: found 1, expected true or false",
        'quantType: found "int4", expected one of nf4, fp4',
        "lora.r: found 0, expected an integer from 1 to 1024",
        "lora.rank: found an unknown key",
        "learning_rate: found an unknown key",
        "baseModel: found nothing, expected a text",
    ):
        assert part in message


def test_overrides_change_the_settings_and_not_the_fingerprint() -> None:
    plain = parse_config(MINIMAL, {}, Path("c.json"))
    smaller = parse_config(
        MINIMAL, {"batchSize": 1, "maxLength": 512, "resumeFrom": "out/checkpoint-3"}, Path("c.json")
    )
    other = parse_config({**MINIMAL, "maxLength": 512}, {}, Path("c.json"))
    assert smaller.max_length == 512
    assert smaller.fingerprint == plain.fingerprint != other.fingerprint


@pytest.mark.parametrize("item", ["batchSize", "batchSize=", "batchSize={"])
def test_refuses_an_override_that_is_no_assignment(tmp_path: Path, item: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(MINIMAL))
    with pytest.raises(Fault, match="expected name=JSON"):
        read_command_line([str(path), "--set", item])


def test_what_is_checked_first_needs_no_torch() -> None:
    check = "import sys, qlora.train, qlora.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=TRAINERS, check=False).returncode == 0
