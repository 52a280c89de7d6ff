"""Copies in a library: which are found, which is the best, and moving them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.filesize import decimal

from hgan.cli import main
from hgan.errors import IndexingError
from hgan.index.indexer import index_folder
from hgan.index.texts import index_texts
from hgan.runtime.images import open_photo
from hgan.search.copies import find_copies


def picture(seed: int) -> Image.Image:
    array = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(array).resize((640, 480), Image.Resampling.BICUBIC)


@pytest.fixture
def library(tmp_path, bundle):
    root = tmp_path / "photos"
    (root / "2023").mkdir(parents=True)
    for seed in range(8):
        picture(seed).save(root / f"{seed}.png")
    picture(1).save(root / "2023/again.jpg", quality=60)
    picture(1).resize((320, 240)).save(root / "2023/small.jpg")
    shutil.copy(root / "2.png", root / "2023/same bytes.png")
    index_folder(root, tmp_path / "index", bundle)
    return root


@pytest.fixture
def index(library):
    return library.parent / "index"


GROUPS = [
    {"1.png", "2023/again.jpg", "2023/small.jpg"},
    {"2.png", "2023/same bytes.png"},
]


def test_groups_are_found_with_the_largest_first(library, index):
    found = find_copies(index)
    assert [{copy.inside for copy in group} for group in found.groups] in (GROUPS, GROUPS[::-1])
    for group in found.groups:
        assert [copy.size for copy in group] == sorted((c.size for c in group), reverse=True)
    assert next(g for g in found.groups if len(g) == 3)[0].inside == "1.png"
    spare = [copy for group in found.groups for copy in group[1:]]
    assert found.spare == sum(copy.path.stat().st_size for copy in spare)
    assert found.unreadable == {}


def test_forms_of_output(library, index, capsys):
    assert main(["duplicates", "--index", str(index)]) == 0
    printed = capsys.readouterr()
    assert "3 copies in 2 groups" in printed.err
    assert f"{library / '1.png'}\t{decimal((library / '1.png').stat().st_size)}\n" in printed.out
    assert main(["duplicates", "--index", str(index), "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)
    assert sorted(map(len, groups)) == [2, 3]
    assert main(["duplicates", "--index", str(index), "-f"]) == 0
    spare = capsys.readouterr().out.splitlines()
    assert sorted(spare) == sorted(path for group in groups for path in group[1:])


def test_move_and_undo(library, index, tmp_path, capsys, bundle):
    before = sorted(library.rglob("*.*"))
    to = tmp_path / "copies"
    assert main(["duplicates", "--index", str(index), "--move-to", str(to)]) == 0
    assert "3 moved" in capsys.readouterr().out
    assert len([path for path in library.rglob("*") if path.is_file()]) == 8
    index_folder(library, index, bundle)
    assert find_copies(index).groups == []
    assert main(["duplicates", "--undo", str(to)]) == 0
    assert "3 moved back" in capsys.readouterr().out
    assert sorted(library.rglob("*.*")) == before


def test_photos_that_are_gone_are_named(library, index, capsys):
    (library / "1.png").unlink()
    assert main(["duplicates", "--index", str(index)]) == 0
    printed = capsys.readouterr()
    assert "not compared 1.png" in printed.err
    assert "2023/again.jpg" in printed.out and "2 groups" in printed.err


def test_only_photos_that_have_changed_are_opened(library, index, monkeypatch):
    opened = []

    def counted(content, hint, name):
        opened.append(name)
        return open_photo(content, hint, name)

    monkeypatch.setattr("hgan.search.copies.open_photo", counted)
    assert len(find_copies(index).groups) == 2
    assert opened == []
    picture(77).resize((320, 240)).save(library / "2023/small.jpg")  # no longer a copy
    groups = [{copy.inside for copy in group} for group in find_copies(index).groups]
    assert {"1.png", "2023/again.jpg"} in groups
    assert opened == ["2023/small.jpg"]


def test_bad_input(library, index, tmp_path, bundle, capsys):
    arguments = ["duplicates", "--index", str(index), "--move-to", str(library / "copies")]
    assert main(arguments) == 2
    assert "choose a folder outside" in capsys.readouterr().err
    (tmp_path / "texts.txt").write_text("a dog\n")
    index_texts(tmp_path / "texts.txt", tmp_path / "texts", bundle)
    with pytest.raises(IndexingError, match="contains texts"):
        find_copies(tmp_path / "texts")
