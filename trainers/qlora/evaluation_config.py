"""The configuration of an evaluation. Standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import BASE_MODEL_RULES, BaseModelConfig
from .rules import Rule, check, optional_text, read_object, refuse, text

_RULES = {
    **BASE_MODEL_RULES,
    "heldOutDataset": text(required=True),
    "result": text(required=True),
    "adapters": Rule("a list of objects", lambda value: isinstance(value, list) and len(value) > 0, [], required=True),
}
_ADAPTER_RULES = {"name": text(required=True), "path": optional_text()}


@dataclass(frozen=True)
class Adapter:
    name: str
    path: str | None


@dataclass(frozen=True)
class EvaluationConfig(BaseModelConfig):
    held_out_dataset: str
    result: str
    adapters: list[Adapter]


def read_evaluation_config(path: Path) -> EvaluationConfig:
    """Raises one ``bad-config`` fault for everything that is wrong, adapter folders included."""
    faults: list[str] = []
    values = check(read_object(path), _RULES, faults)
    items: list[Any] = values["adapters"] if isinstance(values["adapters"], list) else []
    adapters = []
    for index, item in enumerate(items):
        where = f"adapters[{index}]"
        adapter = check(item if isinstance(item, dict) else {}, _ADAPTER_RULES, faults, f"{where}.")
        folder = adapter["path"]
        if isinstance(folder, str) and not Path(folder, "adapter_config.json").is_file():
            faults.append(f"{where}.path: found {folder}, expected a folder with adapter_config.json")
        elif isinstance(folder, str) and Path(folder, "simulated.json").exists():
            faults.append(f"{where}.path: found {folder} of the simulated trainer, expected a trained adapter")
        adapters.append(Adapter(**adapter))
    if len({adapter.name for adapter in adapters}) < len(adapters):
        faults.append("adapters: found a name twice, expected different names")
    refuse(path, faults)
    return EvaluationConfig(**{**values, "adapters": adapters})
