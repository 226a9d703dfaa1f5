"""``python -m qlora.tiny_model <folder>``: a tiny random Llama with its own tokenizer, for tests and the demo.

Half a million parameters, the same numbers every time; its module names are those of the real Llama.
"""

import shutil
import sys
from pathlib import Path

from .durable import rename_folder
from .events import run_reporting_faults
from .faults import EXIT_DONE, Fault

_TEXT = """\
def add(first, second):
    return first + second

def greet(name):
    print(f"Hello, {name}!")

class Counter:
    def __init__(self):
        self.value = 0

    def increment(self, step=1):
        self.value += step
        return self.value

for index in range(10):
    if index % 2 == 0:
        print(index, "is even")
    else:
        print(index, "is odd")

The tower trains a small model every day. It reads new samples, learns from them, and keeps only what is better.
"""
_VOCABULARY_SIZE = 512


def make_tiny_model(folder: Path) -> None:
    """Writes model and tokenizer into ``folder``, which must not exist yet; it appears whole or not at all."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if folder.exists():
        raise Fault("bad-config", f"{folder} exists already", "Name a new folder.")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _make_tokenizer(partial)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_VOCABULARY_SIZE,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(partial)
    rename_folder(partial, folder)


def _make_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY_SIZE,
        special_tokens=list(names.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)  # type: ignore[no-untyped-call]
    wrapped.save_pretrained(folder)


def main() -> int:
    def work(_events: object) -> int:
        if len(sys.argv) != 2:
            raise Fault("bad-config", "expected one argument, the folder to make")
        make_tiny_model(Path(sys.argv[1]))
        return EXIT_DONE

    return run_reporting_faults(work)


if __name__ == "__main__":
    sys.exit(main())
