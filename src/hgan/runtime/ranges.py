"""Checks of values that were read from a file: type, range, and finite numbers.

Each function raises `ValueError` with the name of the field; the reader of the file adds its path.
"""

from math import isfinite
from typing import Any


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """Raise `ValueError` unless the value is an integer in low..high, and not a bool."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {_shown(value)}")


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Raise `ValueError` unless the value is a finite number in low..high, and not a bool."""
    if type(value) not in (int, float) or not isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low} to {high}, not {_shown(value)}")


def check_text(name: str, value: Any, longest: int = 10_000) -> None:
    """Raise `ValueError` unless the value is a text with at least one character."""
    if type(value) is not str or not 1 <= len(value) <= longest:
        raise ValueError(f"{name} must be a text of 1 to {longest} characters, not {_shown(value)}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise `ValueError` unless the value is one of the choices."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {choices}, not {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 50 else f"{text[:50]}..."
