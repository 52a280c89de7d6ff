"""Rules of gitignore: which of them decides, what is ignored by default, and bad ones."""

import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from hgan.errors import ConfigError
from hgan.sources.folder import FolderSource
from hgan.sources.rules import IGNORE_FILE, MOST_STARS, Rules
from hgan.sources.types import Listing
from hgan.sources.walk import walk


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("IMG_1.jpg", None),
        ("2023/italy/", None),
        ("Trash", None),  # a file
        ("trash can/", None),
        ("eaDir/", None),
        ("@eaDir/", "@eaDir/"),
        ("2023/@eaDir/", "@eaDir/"),
        ("#recycle/", "#recycle/"),
        ("Trash/", "Trash/"),
        ("$RECYCLE.BIN/", "$RECYCLE.BIN/"),
        ("site/node_modules/", "node_modules/"),
        ("Lightroom Catalog Previews.lrdata/", "*.lrdata/"),
        (".thumbnails/", "hidden"),
        (".Trash-1000/", "hidden"),
        ("2023/._IMG_1.jpg", "hidden"),
    ],
)
def test_what_is_ignored_by_default(path: str, rule: str | None) -> None:
    assert Rules.of().ignoring(path) == rule


def test_the_place_nearest_to_the_user_decides() -> None:
    rules, problems = Rules.of(["*.gif", "", "!keep.png"]).within("", "*.png\n!Trash/\n!a.gif\n")
    assert problems == {}
    assert rules.exclude == ("*.gif", "!keep.png")
    assert rules.ignoring("a.gif") == "--exclude *.gif"
    assert rules.ignoring("keep.png") is None
    assert rules.ignoring("b.png") == "*.png in .hganignore"
    assert rules.ignoring("Trash/") is None
    inner, _ = rules.within("2023/", "!*.png\n/only.jpg\n")
    assert inner.ignoring("2023/b.png") is None
    assert inner.ignoring("2023/only.jpg") == "/only.jpg in 2023/.hganignore"
    assert inner.ignoring("2023/x/only.jpg") is None
    assert rules.ignoring("2023/only.jpg") is None  # the outer ones are as before


def test_within_one_file_the_last_rule_decides_as_in_git() -> None:
    text = "# a comment\n\n*.png\n!keep/\n/drafts/**\n!/drafts/good/\n\\#1.jpg\nspace.jpg   \n"
    rules, problems = Rules.of().within("", text)
    assert problems == {}
    # A folder that is taken back does not take back files that a rule of their own ignores.
    assert rules.ignoring("keep/") is None
    assert rules.ignoring("keep/b.png") == "*.png in .hganignore"
    assert rules.ignoring("drafts/") is None
    assert rules.ignoring("drafts/bad/") == "/drafts/** in .hganignore"
    assert rules.ignoring("drafts/good/") is None
    assert rules.ignoring("#1.jpg") == "\\#1.jpg in .hganignore"
    assert rules.ignoring("space.jpg") == "space.jpg in .hganignore"


def test_everything_but_some_files_as_in_git() -> None:
    rules, _ = Rules.of().within("", "*\n!*/\n!*.jpg\n@eaDir/\n")
    assert rules.ignoring("2023/") is rules.ignoring("2023/italy/a.jpg") is None
    assert rules.ignoring("2023/a.png") == "* in .hganignore"
    assert rules.ignoring("2023/@eaDir/") == "@eaDir/ in .hganignore"
    one, _ = Rules.of().within("", "/*\n!/2023/\n/a/**/b\n")
    assert one.ignoring("2022/") == "/* in .hganignore"
    assert one.ignoring("2023/") is one.ignoring("2023/2022/") is one.ignoring("2023/a.jpg") is None
    assert one.ignoring("2023") == "/* in .hganignore"  # a file
    assert one.ignoring("a/b") == one.ignoring("a/x/y/b/") == "/a/**/b in .hganignore"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_random_rules_keep_the_same_files_as_git(tmp_path: Path) -> None:
    for folder in ("", "a/", "b/", "a/b/", "a/b/c/", "b/a/"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in ("a.jpg", "b.png", "d e.jpg"):
            (tmp_path / folder / name).touch()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    rng = random.Random(0)
    parts = ("a", "b", "c", "*", "**", "a.jpg", "*.jpg", "*.png", "?", "[ab]", "d e.jpg")
    for _ in range(60):
        bodies = ["/".join(rng.choices(parts, k=rng.choice([1, 1, 2, 3]))) for _ in range(5)]
        rules = [
            rng.choice(["", "", "!"]) + rng.choice(["", "/"]) + body + rng.choice(["", "/", "  "])
            for body in bodies
            if len(re.findall(r"\*+", body)) <= MOST_STARS
        ]
        for name in (".gitignore", IGNORE_FILE):
            (tmp_path / name).write_text("\n".join(rules))
        command = ["git", "ls-files", "--others", "--exclude-standard", "-z", "*.jpg", "*.png"]
        shown = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        found = {photo.path for photo in walk(FolderSource(tmp_path), Listing())}
        # The rules may take back `.git`, which has no photos, but git never lists it.
        assert found == set(shown.stdout.split("\0")) - {""}, rules


def test_a_folder_that_is_taken_back_is_ignored_inside_as_usual() -> None:
    rules, _ = Rules.of().within("", "!Trash/\n!.photos/\n")
    assert rules.ignoring("Trash/") is rules.ignoring(".photos/a.jpg") is None
    assert rules.ignoring("Trash/.a.jpg") == "hidden"
    assert rules.ignoring("Trash/@eaDir/") == "@eaDir/"


@pytest.mark.parametrize("rule", ["!", "!/", "[z-a]", "a\\", "*a*a*a*a*b"])
def test_bad_rules(rule: str) -> None:
    with pytest.raises(ConfigError, match=r"^--exclude .* write one such as"):
        Rules.of([rule])
    rules, problems = Rules.of().within("x/", f"a.jpg\n{rule}\nb.jpg\n")
    assert list(problems) == [2]
    assert rule[:80] in problems[2].encode().decode("unicode_escape")
    assert rules.ignoring("x/b.jpg") == "b.jpg in x/.hganignore"


def test_rules_and_names_of_somebody_else_take_no_time() -> None:
    rules, problems = Rules.of().within("", "*a" * MOST_STARS + "b\n")
    assert problems == {}
    began = time.monotonic()
    assert rules.ignoring("a" * 255) is None
    assert time.monotonic() - began < 5
