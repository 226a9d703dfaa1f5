from pathlib import Path

import pytest

from qlora.dataset import IGNORED_LABEL, Sample, Vocabulary, read_samples, tokenise
from qlora.faults import Fault

BOS, EOS = 1, 2


def encode(text: str) -> list[int]:
    """One token a character, but 'ab' together is one, so that a token can span prompt and completion."""
    return [BOS, *(ord(character) for character in text.replace("ab", "\u00e6"))]


VOCABULARY = Vocabulary(encode, BOS, EOS, padding=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"completion": "a"}\n\xff\n', "line 2: byte 1 is not UTF-8"),
        (b'{"completion": "a"}\n\n{"completion": \n', "line 3: not JSON"),
        (b'["a"]', "line 1: found list, expected an object"),
        (b'{"prompt": "a"}', "line 1: completion: found null"),
        (b'{"completion": ""}', "line 1: completion: found"),
        (b'{"prompt": 3, "completion": "a"}', "line 1: prompt: found 3"),
        (b'{"completion": "\\ud800"}', "line 1: half of a surrogate pair"),
        (b"\n\n", "holds no sample"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    with pytest.raises(Fault) as raised:
        read_samples(path)
    assert raised.value.fault_class == "bad-dataset"
    assert str(path) in raised.value.message
    assert message in raised.value.message


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes('{"completion": "a\u2028b\u0085c"}\r\n{"prompt": "p", "completion": "d"}'.encode())
    assert read_samples(path)[0] == [Sample("", "a\u2028b\u0085c"), Sample("p", "d")]


def test_the_loss_covers_completion_and_end_alone() -> None:
    [sample] = tokenise([Sample("xy", "z")], VOCABULARY, 10).samples
    assert sample.input_ids == [BOS, ord("x"), ord("y"), ord("z"), EOS]
    assert sample.labels == [IGNORED_LABEL] * 3 + [ord("z"), EOS]


def test_a_token_that_spans_the_border_belongs_to_the_completion() -> None:
    [sample] = tokenise([Sample("xa", "bz")], VOCABULARY, 10).samples
    assert sample.input_ids == [BOS, ord("x"), 0xE6, ord("z"), EOS]
    assert sample.labels == [IGNORED_LABEL] * 2 + [0xE6, ord("z"), EOS]


def test_the_prompt_is_cut_first_and_from_its_left() -> None:
    result = tokenise([Sample("12345", "z")], VOCABULARY, 5)
    assert result.samples[0].input_ids == [BOS, ord("4"), ord("5"), ord("z"), EOS]
    assert (result.cut_prompts, result.cut_completions) == (1, 0)


def test_a_completion_that_is_too_long_keeps_its_start() -> None:
    result = tokenise([Sample("12", "vwxyz")], VOCABULARY, 4)
    assert result.samples[0].input_ids == [ord(character) for character in "vwxy"]
    assert (result.cut_prompts, result.cut_completions) == (1, 1)


def test_a_sample_without_a_token_to_predict_is_counted() -> None:
    result = tokenise([Sample("", "z")], Vocabulary(lambda text: [ord(c) for c in text], None, None, 0), 4)
    assert (result.samples, result.without_target) == ([], 1)
