"""The command line: help, exit codes, standard output and error, and time to start."""

import contextlib
import errno
import io
import json
import os
import pty
import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from hgan import __version__
from hgan.cli import VERBS, main
from hgan.locations import default_index
from tests.fixtures.tiny_bundle import write_tiny_bundle

COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}

ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (80, 64), colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def index(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """An index of three photos, made by the command line."""
    bundle = write_tiny_bundle(tmp_path / "bundle")
    folder = tmp_path / "index"
    assert main(["index", str(photos), "--to", str(folder), "--bundle", str(bundle)]) == 0
    capsys.readouterr()
    return folder


def hgan(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hgan", *words]
    return subprocess.run(command, capture_output=True, text=True, **options)


# --- help


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


# --- index and search


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
    assert "folder, taken, camera and tag" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search dogs -k 0", "-k: must be a whole number of at least 1, not 0"),
        ("search dogs -k -3", "-k: must be a whole number of at least 1, not -3"),
        ("search dogs -k many", "-k: must be a whole number, not many"),
        ("search dogs --offset -1", "--offset: must be a whole number of at least 0, not -1"),
        ("search dogs --min-score high", "--min-score: must be a number, not high"),
        ("search dogs --index", "--index: needs a value"),
        ("search dogs --offest 3", "--offest: unknown option; did you mean --offset?"),
        ("search dogs --zebra", "--zebra: unknown option; see `hgan search --help`"),
        ("index photos --quantize int4", "--quantize: must be int8 or none, not int4"),
        ("index photos more", "more: unexpected argument; see `hgan index --help`"),
        ("index", "name the photos or texts to index, as in `hgan index ~/Pictures`"),
        ("explain", "photo and text are missing; see `hgan explain --help`"),
    ],
)
def test_wrong_arguments_are_explained_in_plain_words(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr() == ("", f"hgan: {message}\n")


# --- errors


def test_an_error_of_the_user_is_one_message_without_a_trace(tmp_path: Path) -> None:
    result = hgan("search", "dogs", "--index", tmp_path / "nothing")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("hgan: ") and "no index here" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_error(index: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hgan", "search", "red", "--index", str(index)]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert result.returncode == 141
    assert result.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_onto_a_full_disk(index: Path) -> None:
    command = [sys.executable, "-m", "hgan", "search", "red", "--index", str(index)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert result.stderr == "hgan: No space left on device; finished work is kept\n"


def test_an_error_of_the_system_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "some/file")

    broken = SimpleNamespace(parser=VERBS["export"].parser, run=refuse)
    monkeypatch.setitem(VERBS, "export", broken)
    assert main(["export", "a", "b"]) == 2
    assert "some/file: Permission denied" in capsys.readouterr().err


INTERRUPTED = """
import os, signal, sys
from hgan.cli import main
from hgan.index.store.edge import EdgeStore

# A test run in the background has Ctrl-C ignored, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
upsert, count = EdgeStore.upsert, 0

def upsert_then_interrupt(self, points):
    global count
    upsert(self, points)
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGINT)

EdgeStore.upsert = upsert_then_interrupt
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupted_run_says_so_and_goes_on_the_next_time(tmp_path: Path) -> None:
    photos = tmp_path / "many"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(100):
        noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / f"{i}.png")
    bundle = write_tiny_bundle(tmp_path / "bundle")
    words = ["index", photos, "--to", tmp_path / "index", "--bundle", bundle]
    command = [sys.executable, "-c", INTERRUPTED, *words]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 130
    assert "interrupted; finished work is kept" in result.stderr
    assert "Traceback" not in result.stderr

    again = hgan(*words)
    assert again.returncode == 0, again.stderr
    added, unchanged = (int(again.stdout.split()[i]) for i in (0, 6))
    assert added + unchanged == 100
    assert added > 0 and unchanged > 0


# --- starting fast


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


def test_the_parser_costs_little() -> None:
    """Processor time, which a busy machine changes less than the time on the clock."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert hgan("search", "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.8  # about 0.15 s; a training import would take seconds
