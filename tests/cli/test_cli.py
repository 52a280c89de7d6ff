"""`hgan index` and `hgan search`: standard output, and what they import."""

import contextlib
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from hgan.cli import main
from hgan.locations import default_index
from tests.fixtures.command import hgan
from tests.fixtures.tiny_bundle import write_tiny_bundle


def test_index_reports_what_it_did(photos: Path, index: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"no photo")
    (photos / "red.png").unlink()
    Image.new("RGB", (80, 64), (250, 250, 20)).save(photos / "blue.png")
    Image.new("RGB", (80, 64), (5, 5, 5)).save(photos / "black.png")
    result = hgan("index", photos, "--to", index, "--bundle", tmp_path / "bundle")
    assert result.returncode == 0
    expected = "1 added, 1 updated, 1 removed, 1 unchanged, 1 skipped"
    assert result.stdout == f"{expected}: {index}\n"
    assert "skipped broken.jpg: " in result.stderr


@pytest.mark.slow
def test_a_second_command_needs_no_more_than_the_query(photos: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    environment.pop("HGAN_INDEX", None)
    made = hgan("index", photos, "--bundle", bundle, env=environment)
    assert made.returncode == 0, made.stderr
    found = hgan("search", "a", "red", "photo", env=environment)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[0].endswith(f"\t{photos / 'red.png'}")


def test_default_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HGAN_INDEX", raising=False)
    # platformdirs chooses its class when it is imported, so each system has its class here.
    for system, variables, expected in (
        (Unix, {"XDG_DATA_HOME": tmp_path}, "hgan"),
        (Unix, {"XDG_DATA_HOME": "", "HOME": tmp_path}, ".local/share/hgan"),
        (MacOS, {"XDG_DATA_HOME": "", "HOME": tmp_path}, "Library/Application Support/hgan"),
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr("platformdirs.PlatformDirs", system)
        assert default_index() == tmp_path / expected / "index"
    monkeypatch.setenv("HGAN_INDEX", "elsewhere")
    assert default_index() == Path("elsewhere")


def test_search_into_a_pipe_prints_lines(index: Path, photos: Path) -> None:
    result = hgan("search", "green", "--index", index, "-k", "2")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert len(lines) == 2
    assert lines[0][1] == str(photos / "green.png")
    assert float(lines[0][0]) > float(lines[1][0])
    assert result.stderr == ""


def test_paths_alone(index: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(photos / f"{name}.png") for name in ("green", "red", "blue")]
    words = ["search", "green", "--index", str(index)]
    assert main([*words, "-f"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == paths[0] and sorted(lines) == sorted(paths)
    assert main([*words, "--print0"]) == 0
    assert capsys.readouterr().out.split("\0") == [*lines, ""]
    assert main([*words, "-f", "--min-score", "9"]) == 0
    assert capsys.readouterr() == ("", "nothing found\n")


def test_paths_alone_are_those_of_photos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("a red photo\na blue photo\n")
    to, bundle = str(tmp_path / "texts"), str(write_tiny_bundle(tmp_path / "bundle"))
    assert main(["index", str(tmp_path / "lines.txt"), "--to", to, "--bundle", bundle]) == 0
    for option in ("-f", "--print0"):
        assert main(["search", "red", "--index", to, option]) == 2
        assert "but this index contains texts" in capsys.readouterr().err


def test_search_as_json(
    index: Path, photos: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["search", "blue", "--index", str(index), "--json", "--sheet", str(sheet)]
    assert main(words) == 0
    shown = capsys.readouterr()
    hits = json.loads(shown.out)
    assert Path(hits[0]["path"]) == photos / "blue.png"
    assert len(hits) == 3
    assert set(hits[0]["levels"]) == {"context", "shared", "local"}
    assert str(sheet) in shown.err
    with Image.open(sheet) as picture:
        assert picture.width > 100


def test_search_by_photo(index: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--image", str(photos / "red.png"), "--index", str(index)]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("red.png")


@pytest.mark.slow
def test_search_on_a_screen_prints_a_table(index: Path) -> None:
    master, screen = pty.openpty()
    command = [sys.executable, "-m", "hgan", "search", "red", "--index", str(index)]
    process = subprocess.Popen(command, stdout=screen, stderr=subprocess.PIPE)
    os.close(screen)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    process.communicate()
    text = shown.decode()
    assert process.returncode == 0
    for word in ("red", "score", "context", "shared", "local", "│"):
        assert word in text


@pytest.mark.parametrize("words", [["search"], ["search", " "], ["search", "--without", "dogs"]])
def test_a_search_is_for_words_or_for_a_photo(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "no words and no photo" in capsys.readouterr().err


def found(index: Path, *words: str | Path) -> list[str]:
    """Names of the hits, as a pipe gets them."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main(["search", "--index", str(index), *map(str, words)]) == 0
    return [Path(line.split("\t")[1]).name for line in shown.getvalue().splitlines()]


def test_search_for_words_with_a_photo(index: Path, photos: Path) -> None:
    words = ["blue", "--image", photos / "red.png", "--share"]
    assert found(index, *words, "0.9")[0] == "red.png"
    assert found(index, *words, "0.1")[0] == "blue.png"


def test_search_without(index: Path) -> None:
    assert found(index, "red", "--without", "blue")[-1] == "blue.png"
    assert found(index, "red", "--without", "green")[-1] == "green.png"
    assert found(index, "--without", "green", "--without", "blue", "red")[0] == "red.png"


def test_search_like_a_photo_of_the_index(index: Path, photos: Path) -> None:
    for name in ("red.png", photos / "red.png"):
        assert sorted(found(index, "--like", name)) == ["blue.png", "green.png"]


def test_search_page_by_page(index: Path) -> None:
    pages = [found(index, "green", "-k", "1", "--offset", f"{i}") for i in range(4)]
    assert [name for page in pages for name in page] == found(index, "green")
    assert pages[3] == []


def test_search_with_a_least_score(index: Path) -> None:
    assert found(index, "red", "--min-score", "0.5") == ["red.png"]


def test_search_where(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(index, "red", "--where", "taken>=2023", "--where", "tag=beach") == []
    words = ["search", "red", "--index", str(index), "--where", "colour=red"]
    assert main(words) == 2
    assert "folder, taken, camera, tag" in capsys.readouterr().err


def test_search_with_conditions_in_the_line(
    index: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "green -blue -#beach", "camera:", "--index", str(index), "-f"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[::2] == [str(photos / name) for name in ("green.png", "blue.png")]
    expected = "hgan: “green”, without blue, not #beach; camera: is ignored, it has no value\n"
    expected += "hgan: no photo has a tag\n"
    assert told.err == expected
    assert main(["search", "green rating:many", "--index", str(index)]) == 2
    assert "'rating:many': 'many' is not a rating" in capsys.readouterr().err
    line = ["search", "green #beach rating:many", "--literally", "--index", str(index), "-f"]
    assert main(line) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{photos / 'green.png'}\n")
    assert told.err == ""


def test_search_folds_copies(
    index: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(photos / "red.png", photos / "again.png")
    assert main(["index", str(photos), "--to", str(index), "--bundle", f"{tmp_path}/bundle"]) == 0
    capsys.readouterr()
    assert main(["search", "red", "--index", str(index), "--fold", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert len(hits) == 3 and len({hit["id"] for hit in hits}) == 3
    copies = {str(photos / "red.png"), str(photos / "again.png")}
    assert {hits[0]["path"], *hits[0]["duplicates"]} == copies
    assert hits[1]["duplicates"] == []


def test_a_search_imports_neither_torch_nor_the_training_half(index: Path) -> None:
    script = f"""
import sys
from hgan.cli import main
code = main(["search", "red", "--index", {str(index)!r}])
heavy = {{"torch", "transformers", "accelerate", "matplotlib", "onnx", "scipy", "hgan.config"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr == "[]\n"
