"""Moving photos out of a folder, and back."""

import json

import pytest

from hgan.errors import DataError
from hgan.sources import moves
from hgan.sources.moves import LOG, move_back, move_out
from hgan.sources.roots import Roots


@pytest.fixture
def library(tmp_path):
    root = tmp_path / "photos"
    for name in ("a.jpg", "2023/b.jpg", "2023/c.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LOG
    }


def test_out_and_back(library, tmp_path):
    before = files(library)
    to = tmp_path / "copies"
    assert move_out(Roots(library), ["2023/b.jpg", "a.jpg"], to) == [
        to / "2023/b.jpg",
        to / "a.jpg",
    ]
    assert files(library) == {"2023/c.jpg": "2023/c.jpg"}
    assert files(to) == {"2023/b.jpg": "2023/b.jpg", "a.jpg": "a.jpg"}
    back, problems = move_back(to)
    assert len(back) == 2 and problems == []
    assert files(library) == before and files(to) == {} and not (to / LOG).exists()


def test_nothing_is_overwritten(library, tmp_path):
    to = tmp_path / "copies"
    to.mkdir()
    (to / "a.jpg").write_text("other")
    with pytest.raises(DataError, match="exists already"):
        move_out(Roots(library), ["2023/b.jpg", "a.jpg"], to)
    assert (to / "a.jpg").read_text() == "other" and (library / "a.jpg").exists()
    (library / "2023/b.jpg").write_text("new")  # in the way of moving back
    _, problems = move_back(to)
    assert "exists already" in problems[-1]
    assert (library / "2023/b.jpg").read_text() == "new" and (to / "2023/b.jpg").exists()
    assert {line["to"] for line in map(json.loads, (to / LOG).open())} >= {str(to / "2023/b.jpg")}
    assert (library / "a.jpg").read_text() == "a.jpg"


def test_an_interrupted_move_can_be_undone(library, tmp_path, monkeypatch):
    to, made = tmp_path / "copies", moves._move

    def interrupted(source, target):
        if source.name == "c.jpg":
            raise KeyboardInterrupt
        made(source, target)

    monkeypatch.setattr(moves, "_move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        move_out(Roots(library), ["a.jpg", "2023/c.jpg", "2023/b.jpg"], to)
    monkeypatch.setattr(moves, "_move", made)
    back, problems = move_back(to)
    assert [path.name for path in back] == ["a.jpg"] and problems == []
    assert len(files(library)) == 3


@pytest.mark.parametrize("inside", ["", "2023", "new/deep"])
def test_a_folder_among_the_photos_is_refused(library, inside):
    with pytest.raises(DataError, match="choose a folder outside"):
        move_out(Roots(library), ["a.jpg"], library / inside)
    assert (library / "a.jpg").exists() and not (library / "new").exists()


@pytest.mark.parametrize(
    "log", ["nothing", "[]", '{"from": "/a"}', '{"from": "/tmp/a", "to": "/etc/passwd"}']
)
def test_damaged_logs_move_nothing(tmp_path, log):
    (tmp_path / LOG).write_text(log + "\n")
    with pytest.raises(DataError, match="damaged"):
        move_back(tmp_path)
    with pytest.raises(DataError, match="nothing was moved"):
        move_back(tmp_path / "missing")
