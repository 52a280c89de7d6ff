"""Rules of gitignore: which of them decides, what is ignored by default, and bad ones."""

import time

import pytest

from hgan.errors import ConfigError
from hgan.sources.rules import MOST_STARS, Rules


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
    assert rules.ignoring("drafts/bad/") == "/drafts/** in .hganignore"
    assert rules.ignoring("drafts/good/") is None
    assert rules.ignoring("#1.jpg") == "\\#1.jpg in .hganignore"
    assert rules.ignoring("space.jpg") == "space.jpg in .hganignore"


@pytest.mark.parametrize("rule", ["!", "[z-a]", "a\\", "*a*a*a*a*b"])
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
