"""Losses of several adapters over one load of the base model."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from .dataset import Sample, TokenisedSample, tokenise
from .evaluation_config import Adapter, EvaluationConfig
from .events import EventWriter
from .faults import Fault
from .loss import SampleLoss, mean_loss, sample_losses
from .model import Placement, choose_placement, load_base_model, load_tokenizer, vocabulary_of

_SECONDS_BETWEEN_STEPS = 1.0


def compare_adapters(config: EvaluationConfig, samples: Sequence[Sample], events: EventWriter) -> dict[str, Any]:
    """Per adapter its mean loss and, in the order of the file, ``[lossSum, tokens]`` of every sample (nats).

    A loss that is not a number is null: whoever compares decides what that means.
    """
    placement = choose_placement(config)
    held_out = tokenise(samples, vocabulary_of(load_tokenizer(config)), config.max_length)
    if not held_out.samples:
        raise Fault("bad-dataset", f"{config.held_out_dataset}: no sample has a token to predict")
    base = load_base_model(config, placement)
    progress = _Progress(events, len(held_out.samples), config, placement)
    adapters = []
    for adapter in config.adapters:
        losses = _losses(base, adapter, held_out.samples, placement, progress)
        mean = _finite(mean_loss(losses))
        if mean is not None:
            events.emit("eval", step=progress.done, adapter=adapter.name, loss=mean, samples=len(losses))
        pairs = [[_finite(it.loss_sum), it.tokens] for it in losses]
        adapters.append({**asdict(adapter), "meanLoss": mean, "samples": pairs})
    return {
        "version": 1,
        "simulated": False,
        "baseModel": config.base_model,
        "device": placement.name,
        "samples": len(held_out.samples),
        "cutSamples": held_out.cut_prompts + held_out.cut_completions,
        "adapters": adapters,
    }


class _Progress:
    """Counts one step for each sample under each adapter; one event a second is enough to follow it."""

    def __init__(self, events: EventWriter, samples: int, config: EvaluationConfig, placement: Placement) -> None:
        self.done = 0
        self._events = events
        self._total = samples * len(config.adapters)
        self._adapters = len(config.adapters)
        self._told_at = time.monotonic()
        facts = {"device": placement.name, "heldOutSamples": samples, "adapters": self._adapters}
        events.emit("start", resumedFromStep=0, totalSteps=self._total, simulated=False, facts=facts)

    def advance(self) -> None:
        self.done += 1
        now = time.monotonic()
        if self.done < self._total and now - self._told_at < _SECONDS_BETWEEN_STEPS:
            return
        self._told_at = now
        epoch = self.done / self._total * self._adapters
        self._events.emit("step", step=self.done, totalSteps=self._total, epoch=epoch)


def _losses(
    base: PreTrainedModel,
    adapter: Adapter,
    samples: Sequence[TokenisedSample],
    placement: Placement,
    progress: _Progress,
) -> list[SampleLoss]:
    def advance(_: int) -> None:
        progress.advance()

    if adapter.path is None:
        return sample_losses(base, samples, placement, advance)
    try:
        model = PeftModel.from_pretrained(base, adapter.path)
    except (ValueError, RuntimeError) as error:
        raise Fault("bad-config", f"the adapter {adapter.path} does not fit the base model: {error}") from error
    losses = sample_losses(model, samples, placement, advance)
    model.unload()
    return losses


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
