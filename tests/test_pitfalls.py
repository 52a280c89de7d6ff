"""docs/pitfalls.md names a test for each known pitfall, or why it cannot occur: the tests exist."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8"))
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", " ".join(row[2] for row in ROWS))


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_pitfall_is_there_once() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 31))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_tests_exist(file: str, name: str) -> None:
    assert name in functions(file)


@pytest.mark.slow
def test_no_module_needs_a_screen() -> None:
    """Every module is imported where neither tkinter nor turtle can be."""
    code = """
import importlib, pkgutil, sys
sys.modules["tkinter"] = sys.modules["turtle"] = None
import hgan
for module in pkgutil.walk_packages(hgan.__path__, "hgan."):
    if module.name != "hgan.__main__":
        importlib.import_module(module.name)
"""
    screenless = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    subprocess.run([sys.executable, "-c", code], check=True, env=screenless)


def test_a_pitfall_has_a_test_or_a_reason() -> None:
    for number, _, guard in ROWS:
        assert "::test_" in guard or guard.startswith("Cannot occur:"), f"pitfall {number}"
