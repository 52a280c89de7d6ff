"""Help, its examples, and the time to show it."""

import re
import resource
import shlex
from pathlib import Path

import pytest

from hgan import __version__
from hgan.cli import VERBS, main
from tests.fixtures.command import hgan

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", VERBS)
def test_help_describes_a_verb_and_shows_its_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    verb = VERBS[name]
    assert re.match(rf"usage: hgan {name}\s", shown)
    assert verb.summary in shown and verb.details in shown
    assert verb.examples
    for example in verb.examples:
        assert f"\n  {example}\n" in f"{shown}\n"
    assert "<class 'Path'>" not in shown


@pytest.mark.usefixtures("forget_plugins")
@pytest.mark.parametrize("name", VERBS)
def test_examples_parse(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "flickr8k.yaml").write_text("seed: 3\n")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for example in VERBS[name].examples:
        words = shlex.split(example)[1 + len(name.split()) :]
        VERBS[name].parser(name).parse_args(words)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_verb(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    shown = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"  {name} " in shown and verb.summary in shown


def test_nothing_asked_is_answered_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "hgan index ~/Pictures" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hgan {__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serch", "dogs"], "did you mean search?"),
        (["data", "chek"], "did you mean data check?"),
        (["data"], "did you mean data check?"),
        (["frobnicate"], "see hgan --help"),
    ],
)
def test_unknown_verbs(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert hint in capsys.readouterr().err


def test_the_parser_costs_little() -> None:
    """Processor time, which a busy machine changes less than the time on the clock."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert hgan("search", "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 2  # about 0.15 s, 0.9 on a busy machine; importing torch would take more
