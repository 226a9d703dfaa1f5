"""Held-out loss, sample by sample, as the training and the evaluation command both report it."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch.nn import Module
from torch.nn.functional import cross_entropy

from .dataset import IGNORED_LABEL, TokenisedSample
from .model import Placement


@dataclass(frozen=True)
class SampleLoss:
    """``loss_sum`` is the sum over ``tokens`` predicted tokens, in nats; their quotient is the sample's mean loss."""

    loss_sum: float
    tokens: int


def sample_losses(
    model: Module,
    samples: Sequence[TokenisedSample],
    placement: Placement,
    on_sample: Callable[[int], None] = lambda count: None,
) -> list[SampleLoss]:
    """One forward pass a sample, without dropout and gradients; leaves mode and random state as they were."""
    was_training = model.training
    model.eval()
    for module in model.modules():
        # In evaluation mode on a CPU these repack their weights for a kernel that has no gradient, and stay so.
        if isinstance(module, Linear4bit):
            module.train()
    half = not placement.on_cpu and placement.compute_dtype != torch.float32
    autocast = torch.autocast(placement.device.type, placement.compute_dtype) if half else nullcontext()
    losses: list[SampleLoss] = []
    with torch.no_grad(), autocast:
        for sample in samples:
            ids = torch.tensor([sample.input_ids], device=placement.device)
            labels = torch.tensor(sample.labels[1:], device=placement.device)
            logits = model(input_ids=ids).logits[0, :-1].float()
            loss = cross_entropy(logits, labels, ignore_index=IGNORED_LABEL, reduction="sum")
            losses.append(SampleLoss(loss.item(), int((labels != IGNORED_LABEL).sum())))
            on_sample(len(losses))
    model.train(was_training)
    return losses


def mean_loss(losses: Sequence[SampleLoss]) -> float:
    """Per token over all samples."""
    return sum(item.loss_sum for item in losses) / sum(item.tokens for item in losses)
