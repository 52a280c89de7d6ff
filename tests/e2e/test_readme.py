"""The documentation: its commands parse, its links and names exist, its examples run."""

import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import hgan
from hgan.cli import VERBS
from hgan.data.features.store import FeatureStore

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
REFERENCE = sorted((ROOT / "docs" / "api").glob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def lines(page: Path) -> list[str]:
    """Command lines in a page's shell blocks, without prompts."""
    blocks = (text for kind, text in BLOCK.findall(page.read_text()) if kind in ("sh", "console"))
    whole = (block.replace("\\\n", " ") for block in blocks)  # a command over several lines
    found = (line.removeprefix("$ ") for block in whole for line in block.splitlines())
    return [line.strip() for line in found if line.strip() and not line.startswith("#")]


def commands() -> list[str]:
    """Every `hgan ...` in a shell block, or in a line of text as code."""
    found = {line: None for page in PAGES for line in lines(page) if line.startswith("hgan ")}
    for page in PAGES:
        found |= {code: None for code in re.findall(r"`(hgan [^`\n]+ [^`\n]+)`", page.read_text())}
    return list(found)


def test_the_readme_shows_how_to_index_search_and_train() -> None:
    shown = lines(ROOT / "README.md")
    for start in ("make demo", "make test", *(f"hgan {name}" for name in VERBS)):
        assert any(line.startswith(start) for line in shown), f"README shows no `{start}`"


@pytest.mark.usefixtures("forget_plugins")
@pytest.mark.parametrize("command", commands())
def test_commands_parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command, comments=True)[1:]
    if words[-1] in ("--help", "--version"):
        words.pop()
        assert not words or " ".join(words) in VERBS
        return
    name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in VERBS)
    VERBS[name].parser(name).parse_args(words[len(name.split()) :])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if not link.startswith(("http://", "https://", "mailto:")):
            file, _, heading = link.partition("#")
            target = page.parent / file if file else page
            assert target.exists(), f"{page.name} links to {link}"
            if heading:
                headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
                assert heading in {
                    re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings
                }


def test_scripts_and_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for line in lines(page):
            words = [word for word in shlex.split(line, comments=True) if "=" not in word]
            if words[0] == "make":
                assert words[1] in targets, line
            elif words[0] == "python":
                assert (ROOT / words[1]).is_file(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_are_python(page: Path) -> None:
    for kind, text in BLOCK.findall(page.read_text()):
        if kind in ("python", "py"):  # "py" for what needs a service or a training run
            compile(text, str(page), "exec")


@pytest.mark.parametrize("page", PAGES + REFERENCE, ids=lambda page: page.name)
def test_python_names_exist(page: Path) -> None:
    for name in re.findall(r"(?<![\w./-])hgan(?:\.[A-Za-z_]\w*)+(?![\w/-])", page.read_text()):
        if name != "hgan.py":
            pkgutil.resolve_name(name)


def test_the_reference_has_every_public_name() -> None:
    text = "\n".join(page.read_text() for page in REFERENCE)
    for name in hgan.__all__:
        assert name == "__version__" or re.search(rf"hgan\.{name}\b", text), name


def test_the_feature_store_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "data.md").read_text())
    (example,) = [text for kind, text in blocks if kind == "python"]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/data.md", "exec"), {})
    store = FeatureStore(tmp_path / "features" / "mine", "my-detector")
    assert store.regions.shape == (2, 1, 2, 16)
