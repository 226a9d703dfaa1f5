import json
import os
from pathlib import Path

import pytest

from qlora.events import EventWriter
from qlora.faults import Fault, as_fault


def raised_by_full_device() -> BaseException:
    try:
        with Path("/dev/full").open("w") as file:
            file.write("x")
    except OSError as error:
        return error
    raise AssertionError("the device took a byte")


def test_faults_are_judged_by_type_and_text_of_the_error_and_its_causes() -> None:
    import torch

    cases: list[tuple[BaseException, str]] = [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out-of-memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
        (raised_by_full_device(), "disk-full"),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), "disk-full"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"), "disk-full"),
        (Fault("diverged", "the loss is NaN"), "diverged"),
        (KeyError("x"), "internal"),
    ]
    for error, expected in cases:
        assert as_fault(error).fault_class == expected
    wrapped = ValueError("outer")
    wrapped.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    assert as_fault(wrapped).fault_class == "out-of-memory"


def test_an_event_is_one_json_line_without_nan() -> None:
    reader, writer = os.pipe()
    events = EventWriter(writer)
    events.emit("eval", step=3, loss=1.5, adapter=None, name="a\nb")
    with pytest.raises(ValueError, match="not JSON compliant"):
        events.emit("eval", loss=float("nan"))
    os.close(writer)
    with os.fdopen(reader) as stream:
        [line] = stream.readlines()
    event = json.loads(line)
    assert (event["event"], event["step"], event["name"]) == ("eval", 3, "a\nb")
    assert event["time"].endswith("Z")
    assert "adapter" not in event
