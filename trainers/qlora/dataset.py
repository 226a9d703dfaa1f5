"""Samples and their tokens. The reading half needs the standard library alone, so that a bad file is told at once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .faults import Fault

IGNORED_LABEL = -100
"""Label of a position that does not count in the loss."""


@dataclass(frozen=True)
class Sample:
    prompt: str
    completion: str


@dataclass(frozen=True)
class TokenisedSample:
    """``input_ids`` and ``labels`` have the same length; prompt positions are labelled ``IGNORED_LABEL``."""

    input_ids: list[int]
    labels: list[int]


@dataclass
class TokenisedDataset:
    """What became of a file's samples; the counters say which were cut to ``max_length``."""

    samples: list[TokenisedSample]
    cut_prompts: int = 0
    cut_completions: int = 0
    without_target: int = 0


@dataclass(frozen=True)
class Vocabulary:
    """What tokenising needs: ``encode`` adds the special tokens that the model expects, usually one at the start."""

    encode: Callable[[str], list[int]]
    bos: int | None
    eos: int | None
    padding: int


def read_samples(path: Path) -> tuple[list[Sample], str]:
    """Reads strict UTF-8 JSON lines ``{"prompt"?, "completion"}``; answers the samples and the file's SHA-256."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Fault("bad-dataset", f"cannot read {path}: {error.strerror}") from error
    # Not str.splitlines: it also splits at characters that JSON texts may contain, such as U+2028.
    samples = [_parse_line(path, number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if not samples:
        raise Fault("bad-dataset", f"{path} holds no sample")
    return samples, hashlib.sha256(data).hexdigest()


def _parse_line(path: Path, number: int, line: bytes) -> Sample:
    where = f"{path}, line {number}"
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Fault("bad-dataset", f"{where}: byte {error.start + 1} is not UTF-8") from error
    except ValueError as error:
        raise Fault("bad-dataset", f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise Fault("bad-dataset", f"{where}: found {type(row).__name__}, expected an object")
    prompt, completion = row.get("prompt", ""), row.get("completion")
    if not isinstance(prompt, str):
        raise Fault("bad-dataset", f"{where}: prompt: found {json.dumps(prompt)[:40]}, expected a text")
    if not isinstance(completion, str) or completion == "":
        raise Fault("bad-dataset", f"{where}: completion: found {json.dumps(completion)[:40]}, expected a text")
    try:
        f"{prompt}{completion}".encode()
    except UnicodeEncodeError as error:
        raise Fault("bad-dataset", f"{where}: half of a surrogate pair at character {error.start + 1}") from error
    return Sample(prompt, completion)


def tokenise(samples: Sequence[Sample], vocabulary: Vocabulary, max_length: int) -> TokenisedDataset:
    """Tokenises prompt and completion as one text, ends it with EOS and cuts it to ``max_length`` tokens.

    The prompt is cut first, from its left (a start token stays); only then the end of the completion.
    """
    result = TokenisedDataset([])
    for sample in samples:
        prompt, completion = _split(sample, vocabulary)
        if len(completion) > max_length:
            completion = completion[:max_length]
            result.cut_completions += 1
        room = max_length - len(completion)
        if len(prompt) > room:
            prompt = _cut_left(prompt, room, vocabulary.bos)
            result.cut_prompts += 1
        # The first position is never predicted.
        if len(prompt) + len(completion) < 2:
            result.without_target += 1
            continue
        labels = [IGNORED_LABEL] * len(prompt) + completion
        result.samples.append(TokenisedSample(prompt + completion, labels))
    return result


def _split(sample: Sample, vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """A token that spans the border counts as completion; tokenising the halves apart would forbid such tokens."""
    tokens = vocabulary.encode(sample.prompt + sample.completion)
    border = 0
    for left, right in zip(vocabulary.encode(sample.prompt), tokens, strict=False):
        if left != right:
            break
        border += 1
    prompt, completion = tokens[:border], tokens[border:]
    if vocabulary.eos is not None and completion[-1:] != [vocabulary.eos]:
        completion = [*completion, vocabulary.eos]
    return prompt, completion


def _cut_left(prompt: list[int], room: int, bos: int | None) -> list[int]:
    if room == 0:
        return []
    if prompt[0] == bos:
        return [prompt[0], *prompt[len(prompt) - room + 1 :]]
    return prompt[-room:]
