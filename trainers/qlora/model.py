"""Loading the base model and its tokenizer, and where they run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .config import BaseModelConfig
from .dataset import Vocabulary
from .faults import Fault, as_fault


@dataclass(frozen=True)
class Placement:
    """The one device of this process and the type it computes in."""

    device: torch.device
    compute_dtype: torch.dtype

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def name(self) -> str:
        return "cpu" if self.on_cpu else torch.cuda.get_device_name(self.device)


def choose_placement(config: BaseModelConfig) -> Placement:
    """``auto`` means the GPU if there is one; bfloat16 there if it has it; float32 on a CPU, where it is fastest."""
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise Fault(
            "bad-config", "device: found cuda, but torch sees no GPU", "Check the driver, or set device to auto."
        )
    on_cpu = config.device == "cpu" or not has_gpu
    if config.compute_dtype != "auto":
        name = config.compute_dtype
    elif on_cpu:
        name = "float32"
    else:
        name = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if on_cpu and name == "float16":
        raise Fault("bad-config", "computeDtype: found float16 on a CPU, expected float32, bfloat16 or auto")
    return Placement(torch.device("cpu" if on_cpu else "cuda:0"), getattr(torch, name))


def load_tokenizer(config: BaseModelConfig) -> PreTrainedTokenizerBase:
    """The base model's tokenizer; raises ``missing-model``."""
    try:
        return AutoTokenizer.from_pretrained(config.base_model, trust_remote_code=config.trust_remote_code)
    except (OSError, ValueError) as error:
        raise _missing_model(config, error) from error


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    def encode(text: str) -> list[int]:
        return list(tokenizer(text, verbose=False)["input_ids"])

    # Padding is masked everywhere, so any token will do for a tokenizer without special ones.
    padding = next((token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token is not None), 0)
    return Vocabulary(encode, tokenizer.bos_token_id, tokenizer.eos_token_id, padding)


def load_base_model(config: BaseModelConfig, placement: Placement) -> PreTrainedModel:
    """The frozen base model on its device, in 4 bits if so configured; raises ``missing-model``."""
    options: dict[str, Any] = {
        "trust_remote_code": config.trust_remote_code,
        "dtype": placement.compute_dtype,
        "device_map": {"": placement.device},
    }
    if config.load_in_4bit:
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type=config.quant_type,
            bnb_4bit_compute_dtype=placement.compute_dtype,
            bnb_4bit_use_double_quant=config.double_quantisation,
        )
    try:
        # The small file first: a model that is not there is told before gigabytes are looked for.
        AutoConfig.from_pretrained(config.base_model, trust_remote_code=config.trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(config.base_model, **options)
    except (OSError, ValueError) as error:
        raise _missing_model(config, error) from error
    model.config.use_cache = False
    if config.load_in_4bit:
        # Checkpointing is switched by the trainer, which knows the non-reentrant kind.
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
    model.requires_grad_(False)
    return model


def _missing_model(config: BaseModelConfig, error: Exception) -> Fault:
    known = as_fault(error)
    if known.fault_class != "internal":
        return known
    if Path(config.base_model).is_absolute():
        next_step = f"Check that {config.base_model} is a complete model folder of transformers."
    else:
        next_step = (
            "Check the model id and the network, or download the model beforehand and set baseModel to its folder; "
            "a model with a licence gate needs the HF_TOKEN of an account that was given access."
        )
    reason = " ".join(str(error).split())[:300]
    return Fault("missing-model", f"cannot load the base model {config.base_model}: {reason}", next_step)
