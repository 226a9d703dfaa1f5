"""The final adapter: saved whole under another name, then renamed."""

import json
import shutil
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from .durable import rename_folder, write_json
from .result import TrainingResult


def save_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, output: Path, result: TrainingResult) -> None:
    """Writes weights (safetensors), configuration and tokenizer to ``output/adapter``."""
    partial = output / "adapter.partial"
    shutil.rmtree(partial, ignore_errors=True)
    save_lora(model, partial)
    tokenizer.save_pretrained(partial)
    result.write(partial)
    rename_folder(partial, output / "adapter")


def save_lora(model: PeftModel, folder: Path) -> None:
    """Weights and configuration of the LoRA; ``target_modules``, a set in peft, always gets the same order."""
    # Without this flag peft asks the hub whether the vocabulary has changed.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    # safetensors makes its files readable by their owner alone.
    (folder / "adapter_model.safetensors").chmod(0o644)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    write_json(path, config)
