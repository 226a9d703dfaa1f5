"""One launch of a training run, from the base model to the final adapter or a complete checkpoint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, TrainerState, set_seed

from .adapter import save_adapter
from .callbacks import TowerCallback
from .checkpoints import Resumable
from .config import TrainConfig
from .dataset import Sample, tokenise
from .events import EventWriter
from .faults import EXIT_DONE, EXIT_STOPPED, Fault
from .loss import mean_loss, sample_losses
from .model import choose_placement, load_base_model, load_tokenizer, vocabulary_of
from .result import TrainingResult
from .stop import StopRequest
from .trainer import Collator, LoraTrainer, training_arguments

_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


@dataclass(frozen=True)
class Run:
    """A checked configuration with its samples; ``resumed`` is the checkpoint that ``config.resume_from`` names."""

    config: TrainConfig
    samples: Sequence[Sample]
    held_out: Sequence[Sample]
    fingerprint: str
    resumed: Resumable | None


def run_session(run: Run, events: EventWriter, stop: StopRequest) -> int:
    """Trains; answers the exit code, raises faults."""
    config = run.config
    placement = choose_placement(config)
    tokenizer = load_tokenizer(config)
    vocabulary = vocabulary_of(tokenizer)
    dataset = tokenise(run.samples, vocabulary, config.max_length)
    held_out = tokenise(run.held_out, vocabulary, config.max_length)
    if not dataset.samples:
        raise Fault("bad-dataset", f"{config.train_dataset}: no sample has a token to predict")
    # The start values of the LoRA belong to the run, so the seed comes before them.
    set_seed(config.seed)
    model = attach_lora(load_base_model(config, placement), config)

    def evaluate(step: int) -> float | None:
        if not held_out.samples:
            return None
        loss = mean_loss(sample_losses(model, held_out.samples, placement))
        events.emit("eval", step=step, loss=loss, samples=len(held_out.samples))
        return loss

    callback = TowerCallback(config, run.fingerprint, events, stop, evaluate)
    new_optimiser = run.resumed is None or run.resumed.optimiser != config.optimiser
    trainer = LoraTrainer(
        callback,
        new_optimiser=new_optimiser,
        model=model,
        args=training_arguments(config, placement),
        train_dataset=dataset.samples,
        data_collator=Collator(vocabulary.padding),
    )
    total_steps = _total_steps(len(dataset.samples), config)
    events.emit(
        "start",
        resumedFromStep=0 if run.resumed is None else run.resumed.step,
        totalSteps=total_steps,
        simulated=False,
        facts={
            "device": placement.name,
            "computeDtype": str(placement.compute_dtype).removeprefix("torch."),
            "quantisation": config.quant_type if config.load_in_4bit else "none",
            "optimiser": config.optimiser,
            "optimiserState": "new" if new_optimiser else "resumed",
            "samples": len(dataset.samples),
            "heldOutSamples": len(held_out.samples),
            "cutPrompts": dataset.cut_prompts,
            "cutCompletions": dataset.cut_completions,
            "droppedSamples": dataset.without_target,
            **{library: version(library) for library in _LIBRARIES},
        },
    )
    trainer.train(resume_from_checkpoint=config.resume_from)
    step = trainer.state.global_step
    if step < total_steps:
        events.emit("stopped", step=step, path=f"checkpoint-{step}")
        return EXIT_STOPPED
    result = TrainingResult(run.fingerprint, step, _mean_train_loss(trainer.state), evaluate(step))
    save_adapter(model, tokenizer, Path(config.output), result)
    result.announce(events)
    return EXIT_DONE


def attach_lora(base: PreTrainedModel, config: TrainConfig) -> PeftModel:
    """Puts a fresh LoRA on the base model; raises ``bad-config`` when the target modules are not there."""
    settings = LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=config.lora.target_modules,
        bias=config.lora.bias,
        task_type="CAUSAL_LM",
    )
    try:
        model = get_peft_model(base, settings)
    except ValueError as error:
        names = ", ".join(config.lora.target_modules)
        raise Fault("bad-config", f"lora.targetModules: found {names}, which do not fit the model: {error}") from error
    if not isinstance(model, PeftModel):
        raise TypeError(f"peft made {type(model).__name__}, expected a PeftModel")
    return model


def _total_steps(samples: int, config: TrainConfig) -> int:
    return config.epochs * math.ceil(math.ceil(samples / config.batch_size) / config.gradient_accumulation)


def _mean_train_loss(state: TrainerState) -> float:
    """Over all optimiser steps of the run, also those of earlier launches, which the checkpoint's log holds."""
    total, previous = 0.0, 0
    for entry in state.log_history:
        if "loss" in entry:
            step = int(entry["step"])
            total += float(entry["loss"]) * (step - previous)
            previous = step
    return total / previous
