"""bitsandbytes on a CPU: training must see the gradients of the dequantised weights, also after an evaluation."""

from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit, Params4bit

from qlora.config import parse_config
from qlora.dataset import TokenisedSample
from qlora.loss import sample_losses
from qlora.model import choose_placement, load_base_model
from qlora.session import attach_lora


def gradients(model: torch.nn.Module, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    return {name: tensor.grad.clone() for name, tensor in model.named_parameters() if tensor.grad is not None}


def dequantise(model: torch.nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Linear4bit):
                assert isinstance(child.weight, Params4bit)
                weight = dequantize_4bit(child.weight.data, child.weight.quant_state).float()
                plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
                plain.weight = torch.nn.Parameter(weight, requires_grad=False)
                setattr(parent, name, plain)


def test_gradients_after_an_evaluation_are_those_of_the_dequantised_weights(tiny_model: Path) -> None:
    raw = {"baseModel": str(tiny_model), "trainDataset": "-", "output": "-", "device": "cpu", "lora": {"dropout": 0.0}}
    config = parse_config(raw, {}, Path("config.json"))
    placement = choose_placement(config)
    torch.manual_seed(0)
    model = attach_lora(load_base_model(config, placement), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    ids = torch.randint(3, 500, (1, 20))
    model.train()
    sample_losses(model, [TokenisedSample(ids[0].tolist(), ids[0].tolist())], placement)
    quantised = gradients(model, ids)
    dequantise(model)
    reference = gradients(model, ids)
    assert quantised.keys() == reference.keys()
    assert len(reference) == 8
    for name, gradient in reference.items():
        torch.testing.assert_close(quantised[name], gradient, rtol=1e-4, atol=1e-7)
