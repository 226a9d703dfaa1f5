"""Checks of JSON objects that report every fault at once. Standard library only."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .faults import Fault


@dataclass(frozen=True)
class Rule:
    """What one key may hold. Without ``required``, a missing key means ``default``, which is not checked."""

    expected: str
    accepts: Callable[[Any], bool]
    default: Any = None
    required: bool = False
    convert: Callable[[Any], Any] = lambda value: value


def text(default: str | None = None, *, required: bool = False) -> Rule:
    return Rule("a text", lambda value: isinstance(value, str) and value != "", default, required)


def optional_text() -> Rule:
    return Rule("a text or null", lambda value: value is None or (isinstance(value, str) and value != ""))


def boolean(default: bool) -> Rule:
    return Rule("true or false", lambda value: isinstance(value, bool), default)


def integer(default: int | None, low: int, high: int | None = None, *, nullable: bool = False) -> Rule:
    expected = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"

    def accepts(value: Any) -> bool:
        if value is None:
            return nullable
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= (high or value)

    return Rule(f"{expected} or null" if nullable else expected, accepts, default)


def number(default: float | None, test: Callable[[float], bool], expected: str, *, nullable: bool = False) -> Rule:
    def accepts(value: Any) -> bool:
        if value is None:
            return nullable
        return isinstance(value, int | float) and not isinstance(value, bool) and test(value)

    def convert(value: Any) -> float | None:
        return None if value is None else float(value)

    return Rule(f"{expected} or null" if nullable else expected, accepts, default, convert=convert)


def one_of(default: str, *choices: str) -> Rule:
    return Rule(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices, default)


def texts(default: list[str]) -> Rule:
    def accepts(value: Any) -> bool:
        return isinstance(value, list) and len(value) > 0 and all(isinstance(item, str) and item for item in value)

    return Rule("a list of texts", accepts, default)


def check(raw: Mapping[str, Any], rules: Mapping[str, Rule], faults: list[str], prefix: str = "") -> dict[str, Any]:
    """The values of all keys in ``rules``, as Python names; faults are appended as 'path: found …, expected …'."""
    for key in raw.keys() - rules.keys():
        faults.append(f"{prefix}{key}: found an unknown key, expected one of {', '.join(rules)}")
    values: dict[str, Any] = {}
    for key, rule in rules.items():
        value = raw.get(key, rule.default)
        if key not in raw and rule.required:
            faults.append(f"{prefix}{key}: found nothing, expected {rule.expected}")
        elif key in raw and not rule.accepts(value):
            faults.append(f"{prefix}{key}: found {json.dumps(value)}, expected {rule.expected}")
        else:
            value = rule.convert(value)
        values[python_name(key)] = value
    return values


def python_name(key: str) -> str:
    """``loadIn4bit`` → ``load_in_4bit``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", key).lower()


def read_object(path: Path) -> dict[str, Any]:
    """Reads one JSON object; raises a ``bad-config`` fault that names the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Fault("bad-config", f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Fault("bad-config", f"{path} is not JSON in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise Fault("bad-config", f"{path}: found {type(value).__name__}, expected a JSON object")
    return value


def refuse(source: Path, faults: list[str]) -> None:
    """Raises one ``bad-config`` fault for all of ``faults``; does nothing when there are none."""
    if faults:
        raise Fault("bad-config", f"{source}: {'; '.join(faults)}", f"Correct {source}.")
