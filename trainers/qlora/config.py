"""The configuration: names, defaults, limits as in ``src/qlora/hyperparameters.ts``. Standard library only."""

import argparse
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from .faults import Fault
from .rules import Rule, boolean, check, integer, number, one_of, optional_text, read_object, refuse, text, texts

_POSITIVE = "a number above 0"
_LORA_RULES = {
    "r": integer(16, 1, 1024),
    "alpha": integer(32, 1),
    "dropout": number(0.05, lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "targetModules": texts(["q_proj", "v_proj"]),
    "bias": one_of("none", "none", "all", "lora_only"),
}
BASE_MODEL_RULES = {
    "baseModel": text(required=True),
    "trustRemoteCode": boolean(False),
    "maxLength": integer(1024, 8),
    "loadIn4bit": boolean(True),
    "quantType": one_of("nf4", "nf4", "fp4"),
    "computeDtype": one_of("auto", "auto", "float16", "bfloat16", "float32"),
    "doubleQuantisation": boolean(True),
    "device": one_of("auto", "auto", "cpu", "cuda"),
}
_TRAIN_RULES = {
    **BASE_MODEL_RULES,
    "trainDataset": text(required=True),
    "heldOutDataset": optional_text(),
    "output": text(required=True),
    "seed": integer(42, 0, 2**32 - 1),
    "epochs": integer(1, 1),
    "batchSize": integer(1, 1),
    "gradientAccumulation": integer(4, 1),
    "learningRate": number(2e-4, lambda value: 0 < value < math.inf, _POSITIVE),
    "weightDecay": number(0.0, lambda value: 0 <= value < math.inf, "a number of at least 0"),
    "warmupSteps": integer(0, 0),
    "lrScheduler": one_of("linear", "linear", "cosine", "constant", "constant_with_warmup"),
    "maxGradNorm": number(1.0, lambda value: 0 < value < math.inf, _POSITIVE),
    "optimiser": one_of("adamw", "adamw", "adamw8bit"),
    "gradientCheckpointing": boolean(True),
    "lora": Rule("an object", lambda value: isinstance(value, dict), {}),
    "checkpointEverySteps": integer(None, 1, nullable=True),
    "checkpointEveryMinutes": number(5.0, lambda value: 0 < value < math.inf, _POSITIVE, nullable=True),
    "keepCheckpoints": integer(2, 2),
    "loggingSteps": integer(1, 1),
    "resumeFrom": optional_text(),
}
_NOT_RESULT = {
    "train_dataset",
    "held_out_dataset",
    "output",
    "device",
    "gradient_checkpointing",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_checkpoints",
    "logging_steps",
    "resume_from",
}
"""Settings that change where and how a run goes on, not what it results in (a dataset counts by its content)."""


@dataclass(frozen=True)
class BaseModelConfig:
    """How the frozen base model is loaded; ``max_length`` in tokens."""

    base_model: str
    trust_remote_code: bool
    max_length: int
    load_in_4bit: bool
    quant_type: Literal["nf4", "fp4"]
    compute_dtype: Literal["auto", "float16", "bfloat16", "float32"]
    double_quantisation: bool
    device: Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class LoraSettings:
    r: int
    alpha: int
    dropout: float
    target_modules: list[str]
    bias: Literal["none", "all", "lora_only"]


@dataclass(frozen=True)
class TrainConfig(BaseModelConfig):
    """One training run. ``fingerprint`` identifies its result-relevant part as configured, without ``--set``."""

    train_dataset: str
    held_out_dataset: str | None
    output: str
    seed: int
    epochs: int
    batch_size: int
    gradient_accumulation: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    lr_scheduler: str
    max_grad_norm: float
    optimiser: Literal["adamw", "adamw8bit"]
    gradient_checkpointing: bool
    lora: LoraSettings
    checkpoint_every_steps: int | None
    checkpoint_every_minutes: float | None
    keep_checkpoints: int
    logging_steps: int
    resume_from: str | None
    fingerprint: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Fault("bad-config", f"command line: {message}", self.format_usage().strip())


def read_command_line(arguments: Sequence[str]) -> TrainConfig:
    """``<config.json> [--resume-from FOLDER] [--set name=json]…``; raises ``bad-config`` with all faults at once."""
    parser = _Parser(prog="qlora.train", description="Train a LoRA adapter on a 4-bit base model.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--resume-from", metavar="FOLDER", help="a complete checkpoint of the same run")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="override one key")
    options = parser.parse_args(arguments)
    raw = read_object(options.config)
    overrides = dict(_parse_override(item) for item in options.set)
    if options.resume_from is not None:
        overrides["resumeFrom"] = options.resume_from
    return parse_config(raw, overrides, options.config)


def parse_config(raw: Mapping[str, Any], overrides: Mapping[str, Any], source: Path) -> TrainConfig:
    """Checks a configuration with its overrides; relative paths count from the working directory."""
    configured = _check(raw, source)
    values = _check({**raw, **overrides}, source)
    return TrainConfig(
        **{**values, "lora": LoraSettings(**values["lora"])},
        fingerprint=_fingerprint(configured),
    )


def _check(raw: Mapping[str, Any], source: Path) -> dict[str, Any]:
    faults: list[str] = []
    values = check(raw, _TRAIN_RULES, faults)
    lora = values["lora"] if isinstance(values["lora"], dict) else {}
    values["lora"] = check(lora, _LORA_RULES, faults, "lora.")
    refuse(source, faults)
    return values


def _fingerprint(configured: Mapping[str, Any]) -> str:
    """Of what decides the result: a launch on a rung of the memory ladder is still the same work."""
    relevant = {name: value for name, value in configured.items() if name not in _NOT_RESULT}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _parse_override(item: str) -> tuple[str, Any]:
    name, separator, value = item.partition("=")
    try:
        if separator:
            return name, json.loads(value)
    except ValueError:
        pass
    raise Fault("bad-config", f"--set: found {item!r}, expected name=JSON, for example batchSize=1")
