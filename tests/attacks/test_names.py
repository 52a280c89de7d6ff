"""File names with escape sequences and newlines neither reach the terminal nor forge lines."""

import io
import json
import logging
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from hgan.cli import main
from hgan.cli.index_report import print_event, print_report
from hgan.cli.search import hits_table
from hgan.data.checks.report import Report
from hgan.index.report import IndexReport
from hgan.index.verify import Verification
from hgan.index.watcher import WatchEvent
from hgan.progress import _Console
from hgan.search.finder import Hit
from hgan.serve.logs import JsonFormatter
from hgan.terminal import print_visible, visible
from tests.fixtures.photos import COLOURS, save_photo

FORGED = "a\n12 added, 0 updated\r\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.jpg"
"""Clears the screen, sets the title and the colour, reverses the text, and forges a line."""
SHOWN = r"a\n12 added, 0 updated\r\u001b[2J\u001b]0;title\u0007\u009b31m\u202egpj.jpg"


def controls(text: str) -> set[str]:
    """Characters of a text that a terminal does not show, except newlines."""
    return {one for one in text if not one.isprintable()} - {"\n"}


def test_each_control_character_is_escaped() -> None:
    assert visible(FORGED) == SHOWN
    assert visible("Zürich 東京 👩‍👩‍👧.jpg") == "Zürich 東京 👩‍👩‍👧.jpg"
    assert visible("a\tb\nc", keep="\n") == "a\\tb\nc"


@given(st.text())
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cs", "Zl", "Zp"}
    line = visible(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text and len(line.splitlines()) <= 1


def test_the_report_of_indexing(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(IndexReport(skipped={FORGED: f"not a photo: {FORGED}"}), FORGED)
    print_event(WatchEvent(None, FORGED), "index")
    out, err = capsys.readouterr()
    assert not controls(out + err)
    assert out.count("\n") == 1 and err.count("\n") == 2
    assert err.splitlines()[0] == f"skipped {SHOWN}: not a photo: {SHOWN}"


def test_indexing_and_searching_such_names(
    tmp_path: Path, bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, index = tmp_path / "photos", tmp_path / "index"
    save_photo(folder / "b.png", COLOURS["red"]).rename(folder / FORGED.replace("jpg", "png"))
    (folder / FORGED).write_bytes(b"not a photo")
    assert main(["index", str(folder), "--to", str(index), "--bundle", str(bundle.folder)]) == 0
    out, err = capsys.readouterr()
    assert not controls(out + err)
    assert len(out.splitlines()) == 1 and len(err.splitlines()) == 1
    name = SHOWN.replace("jpg", "png")

    assert main(["search", "red", "--index", str(index)]) == 0
    out = capsys.readouterr().out
    [(score, path)] = [line.split("\t") for line in out.splitlines()]
    assert float(score) and path == f"{folder}/{name}"

    assert main(["search", "red", "--index", str(index), "-f"]) == 0
    assert capsys.readouterr().out == f"{folder}/{name}\n"

    assert main(["search", "red", "--index", str(index), "--print0"]) == 0
    exact = str(folder / FORGED.replace("jpg", "png"))
    assert capsys.readouterr().out == f"{exact}\0"

    assert main(["search", "red", "--index", str(index), "--json"]) == 0
    out = capsys.readouterr().out
    assert not controls(out)
    [hit] = json.loads(out)
    assert hit["path"] == str(folder / FORGED.replace("jpg", "png"))  # exact, for programs

    assert main(["search", "--image", str(folder / FORGED), "--index", str(index)]) == 2
    out, err = capsys.readouterr()
    assert not controls(out + err) and err.count("\n") == 1 and SHOWN in err


def test_a_damaged_photo_of_such_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Verification(FORGED, intact=1, damaged=[FORGED])
    monkeypatch.setattr("hgan.index.verify.verify_index", lambda _: found)
    assert main(["index", "photos", "--to", FORGED, "--verify"]) == 1
    out, err = capsys.readouterr()
    assert not controls(out + err)
    assert out.count("\n") == 1 and err.count("\n") == 2 and f"damaged {SHOWN}\n" in err


def test_tables() -> None:
    file = io.StringIO()
    console = Console(file=file, width=400, force_terminal=False)
    console.print(hits_table([Hit(Path(FORGED), 0.5, {}, text="")], FORGED))
    console.print(hits_table([Hit(Path(FORGED), 0.5, {}, text=FORGED)], FORGED))
    report = Report(FORGED)
    report.add("error", "photo missing", [FORGED])
    report.render(console)
    shown = file.getvalue()
    assert not controls(shown)
    assert shown.count(SHOWN) == 7
    assert "12 added, 0 updated" not in [line.strip() for line in shown.splitlines()]


def test_notes_on_the_console() -> None:
    file = io.StringIO()
    _Console(file=file, width=400).print(FORGED, markup=False)
    assert file.getvalue() == f"{SHOWN}\n"


def test_logs_are_one_line_of_json() -> None:
    record = logging.LogRecord("hgan", logging.ERROR, "", 0, "failed: %s", (FORGED,), None)
    record.fields = {"path": f"{FORGED}\x7f\x85\u2028"}
    line = JsonFormatter().format(record)
    assert not controls(line) and "\n" not in line
    assert json.loads(line)["message"] == f"failed: {FORGED}"
    assert json.loads(line)["path"] == f"{FORGED}\x7f\x85\u2028"


def test_an_exception_in_a_log(tmp_path: Path) -> None:
    try:
        Image.open(tmp_path / FORGED)
    except OSError:
        record = logging.LogRecord("hgan", logging.ERROR, "", 0, "x", None, sys.exc_info())
    line = JsonFormatter().format(record)
    assert not controls(line) and "\n" not in line


def test_printing(capsys: pytest.CaptureFixture[str]) -> None:
    print_visible(FORGED, Path("a\nb"), sep="\t")
    assert capsys.readouterr().out == f"{SHOWN}\ta\\nb\n"
