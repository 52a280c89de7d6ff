"""Every script in `examples/` runs as its docstring says, and the README's `python` blocks run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.photos import COLOURS, save_photo

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(script: str, *arguments: object, where: Path) -> str:
    command = [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=where, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def shown(flickr8k: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder with three real photos, and a caption of each."""
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = (flickr8k / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    captions = {}
    for record in [record for record in records if record["split"] == "test"][:3]:
        (folder / record["image"]).write_bytes((flickr8k / "images" / record["image"]).read_bytes())
        captions[record["image"]] = record["captions"][0]
    return folder, captions


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_each_has_a_test_and_says_how_to_run_it(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert re.search(rf"(python|--plugin) examples/{script.name}\b", source)
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert any(f'"{script.name}"' in test for test in tests)


@pytest.mark.slow
def test_search_a_folder(shown: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, captions = shown
    for name, caption in captions.items():
        lines = run("search_a_folder.py", folder, caption, where=tmp_path).splitlines()
        assert len(lines) == 5
        assert f"  {name}  (context " in lines[1], lines
        assert lines[-1].startswith("similar: ") and name not in lines[-1]
    assert lines[0] == "0 added, 3 unchanged, 0 skipped"
    nowhere = run("search_a_folder.py", folder, "a dog", "--where", "taken>=2999", where=tmp_path)
    assert nowhere.splitlines() == [lines[0]]


def test_encode_and_compare(shown: tuple[Path, dict[str, str]]) -> None:
    folder, captions = shown
    texts = [word for caption in captions.values() for word in ("--text", caption)]
    lines = run("encode_and_compare.py", *captions, *texts, where=folder).splitlines()
    best = [line for line in lines if line.startswith("best for ")]
    assert best == [f"best for {name}: {caption}" for name, caption in captions.items()]
    assert lines[-1] == "dense vectors: (3, 1152) and (3, 1152)"


@pytest.mark.slow
def test_explain_a_match(shown: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, captions = shown
    name, caption = next(iter(captions.items()))
    out = tmp_path / "why.png"
    lines = run("explain_a_match.py", name, caption, "--out", out, where=folder).splitlines()
    parts = [float(line.rsplit("= ", 1)[1]) for line in lines[:3]]
    assert float(lines[3].removeprefix("similarity: ")) == pytest.approx(sum(parts), abs=2e-3)
    assert out.is_file() and lines[-1] == f"picture: {out}"
    assert any(re.fullmatch(r"\w+: -?0\.\d+ at \d+%-\d+% x \d+%-\d+%", line) for line in lines)


@pytest.mark.slow
def test_train_on_your_captions(tmp_path: Path) -> None:
    """Photos of a colour and captions that name it: enough for every step to run."""
    with (tmp_path / "captions.jsonl").open("w") as file:
        for number in range(18):
            colour = list(COLOURS)[number % 3]
            name = f"{colour} {number}.png"
            save_photo(tmp_path / "photos" / name, COLOURS[colour], number)
            split = "train" if number < 10 else "val" if number < 14 else "test"
            captions = [f"a {colour} photo", f"number {number} is {colour}"]
            file.write(json.dumps({"image": name, "captions": captions, "split": split}) + "\n")
    out = run(
        "train_on_your_captions.py",
        "captions.jsonl",
        "photos",
        "work",
        "--epochs",
        1,
        "--batch",
        5,
        where=tmp_path,
    )
    assert re.search(r"best epoch 1: validation rSum \d+\.\d\ntest rSum \d+\.\d\n", out), out
    assert "Embeddings(1 text" in out
    assert len(re.findall(r"^-?\d\.\d{3}  \w+ \d+\.png$", out, re.M)) == 3
    assert (tmp_path / "work/bundle/image.onnx").is_file()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(
    shown: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, captions = shown
    names = list(captions)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S)
    assert any("import hgan" in block for block in blocks)
    monkeypatch.chdir(tmp_path)
    # The photos that it names are there.
    for block in blocks:
        for number, name in enumerate(sorted(set(re.findall(r'"([\w/]+\.jpg)"', block)))):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((folder / names[number % 3]).read_bytes())
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
