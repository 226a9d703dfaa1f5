"""The plain Trainer of transformers, made exact: nothing pickled but what resume reads, no padding in the loss."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PrinterCallback, Trainer, TrainingArguments

from . import checkpoints
from .adapter import save_lora
from .callbacks import TowerCallback
from .config import TrainConfig
from .dataset import IGNORED_LABEL, TokenisedSample
from .faults import Fault
from .model import Placement

_OPTIMISERS = {"adamw": "adamw_torch", "adamw8bit": "adamw_bnb_8bit"}


class LoraTrainer(Trainer):
    """With ``new_optimiser``, a resume leaves the checkpoint's optimiser state, which is of another kind."""

    def __init__(self, callback: TowerCallback, *, new_optimiser: bool, **options: Any) -> None:
        super().__init__(callbacks=[callback], **options)
        self.remove_callback(PrinterCallback)
        self._callback = callback
        self._new_optimiser = new_optimiser

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._callback.tokens += int(inputs["attention_mask"].sum())
        if not bool(torch.isfinite(loss)):
            step = self.state.global_step + 1
            raise Fault("diverged", f"the loss of step {step} is {loss.item()}", "Lower learningRate or maxGradNorm.")
        return loss

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if output_dir is None or not isinstance(self.model, PeftModel):
            raise TypeError("only a LoRA is saved here, into a checkpoint folder")
        checkpoints.clear(Path(output_dir))
        save_lora(self.model, Path(output_dir))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self._new_optimiser:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        # A rung of the memory ladder has changed the optimiser: weights, schedule and order of the data go on.
        scheduler = torch.load(Path(checkpoint, "scheduler.pt"), map_location="cpu", weights_only=True)
        if self.lr_scheduler is None:
            raise TypeError("the state of a checkpoint is loaded after the scheduler was made")
        self.lr_scheduler.load_state_dict(scheduler)


class Collator:
    """Pads on the right to the longest sample of the batch; padding has no label."""

    def __init__(self, pad_token: int) -> None:
        self._pad_token = pad_token

    def __call__(self, samples: list[TokenisedSample]) -> dict[str, torch.Tensor]:
        width = max(len(sample.input_ids) for sample in samples)

        def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
            return torch.tensor([row + [filler] * (width - len(row)) for row in rows])

        return {
            "input_ids": padded([sample.input_ids for sample in samples], self._pad_token),
            "labels": padded([sample.labels for sample in samples], IGNORED_LABEL),
            "attention_mask": padded([[1] * len(sample.input_ids) for sample in samples], 0),
        }


def training_arguments(config: TrainConfig, placement: Placement) -> TrainingArguments:
    """Saving and its rotation are the callback's: those of transformers would count a checkpoint that is not sealed."""
    return TrainingArguments(
        output_dir=config.output,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup_steps,
        lr_scheduler_type=config.lr_scheduler,
        max_grad_norm=config.max_grad_norm,
        optim=_OPTIMISERS[config.optimiser],
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=placement.on_cpu,
        fp16=placement.compute_dtype == torch.float16,
        bf16=placement.compute_dtype == torch.bfloat16,
        activation_checkpointing=config.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=not placement.on_cpu,
    )
