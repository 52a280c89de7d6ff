"""Several folders as one source: the union of them, with paths below their names."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hgan.errors import HganError
from hgan.sources.folder import FolderSource
from hgan.sources.folders import FoldersSource, check_each
from hgan.sources.roots import Roots
from hgan.sources.walk import count_ignored
from tests.fixtures.photos import save_photo

NAMES = st.sampled_from(["a.jpg", "b.png", "c.nef", "c.jpg", "d.xmp", "a.jpg.xmp", ".hidden.jpg"])
FOLDERS = st.sampled_from(["", "2023/", "2023/italy/", "Trash/", "B/", "drafts/", "ü/"])
FILES = st.sets(st.tuples(FOLDERS, NAMES | st.just("notes.txt")), max_size=12)


def fill(folder: Path, files: set[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True)
    for place, name in files:
        path = folder / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{folder.name} {place} {name}")
    return folder


def below(prefix: str, photos) -> list:
    return [
        replace(
            photo,
            path=prefix + photo.path,
            sidecars=tuple(replace(one, path=prefix + one.path) for one in photo.sidecars),
        )
        for photo in photos
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, FILES, st.sets(st.sampled_from(["*.png", "drafts/", "/2023/"]), max_size=2))
def test_two_folders_are_the_union_of_two_single_ones(
    tmp_path_factory: pytest.TempPathFactory,
    one: set[tuple[str, str]],
    two: set[tuple[str, str]],
    rules: set[str],
) -> None:
    top = tmp_path_factory.mktemp("union")
    # A folder with the name of another one is not looked at.
    first = fill(top / "A", {file for file in one if not file[0].startswith("B/")})
    second = fill(top / "deep/B", two)
    joined = FoldersSource(first, {"B": second}).excluding(rules)
    singles = [FolderSource(first).excluding(rules), FolderSource(second).excluding(rules)]
    listings = []
    for source in singles:
        try:
            listings.append(source.find())
        except HganError:
            listings.append(None)
    if listings == [None, None]:
        with pytest.raises(HganError):
            joined.find()
        return
    found = joined.find()
    own, other = listings
    assert set(found.absent) == {
        str(s.root) for s, listing in zip(singles, listings, strict=True) if listing is None
    }
    assert found.photos == below("", own.photos if own else []) + below(
        "B/", other.photos if other else []
    )
    present = [listing for listing in listings if listing is not None]
    assert found.left_out.total == sum(listing.left_out.total for listing in present)
    ignored = [
        count_ignored(source, listing.ignored)
        for source, listing in zip(singles, listings, strict=True)
        if listing is not None
    ]
    assert count_ignored(joined, found.ignored) == sum(ignored[1:], ignored[0])
    for photo in found.photos:
        name, rest = joined.roots.split(photo.path)
        direct = (second if name else first) / rest
        assert joined.read(photo).data == direct.read_bytes()
        assert joined.read(photo).photo == photo
        assert joined.roots.path(photo.path) == direct
        assert joined.roots.inside(direct) == photo.path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("A/2023/x.png", "A/y.png", "disk/B/x.png", "disk/B/2019/z.png"):
        save_photo(tmp_path / name, (200, 30, 30), seed=len(name))
    return tmp_path / "A", tmp_path / "disk/B"


def test_a_folder_that_is_absent_is_unknown_and_not_empty(folders: tuple[Path, Path]) -> None:
    first, second = folders
    source = FoldersSource(first, {"B": second})
    whole = source.find()
    assert not whole.absent and not any(map(whole.is_unknown, ["x.png", "B/x.png"]))
    second.rename(second.parent / "Gone")
    found = source.find()
    assert [photo.path for photo in found.photos] == ["y.png", "2023/x.png"]
    assert list(found.absent) == [str(second)]
    assert found.is_unknown("B/x.png") and not found.is_unknown("2023/gone.png")
    source.check()
    with pytest.raises(HganError, match="no such folder"):
        check_each(source)
    first.rename(first.parent / "Lost")
    with pytest.raises(HganError, match=f"{first}: no such folder"):
        source.find()
    (second.parent / "Gone").rename(second)
    found = source.find()
    assert found.is_unknown("2023/x.png") and not found.is_unknown("B/gone.png")


def test_a_folder_that_cannot_be_listed_inside_of_another_one_is_unknown(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = folders
    listed = os.scandir

    def scandir(path):
        if Path(path) == second / "2019":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    first.rename(first.parent / "Lost")
    found = FoldersSource(first, {"B": second}).find()
    assert found.is_unknown("B/2019/z.png") and found.is_unknown("y.png")
    assert not found.is_unknown("B/gone.png")
    assert "B/2019/" in found.skipped


def test_a_folder_with_the_name_of_another_one_is_skipped(folders: tuple[Path, Path]) -> None:
    first, second = folders
    save_photo(first / "B/hidden.png", (1, 2, 3))
    source = FoldersSource(first, {"B": second})
    found = source.find()
    assert {photo.path for photo in found.photos} == {
        *("y.png", "2023/x.png", "B/x.png", "B/2019/z.png")
    }
    assert "rename this folder" in found.skipped["B"]
    with pytest.raises(ValueError, match="not indexed"):
        source.roots.inside(first / "B/hidden.png")


def test_sidecars_and_parts(folders: tuple[Path, Path]) -> None:
    first, second = folders
    (second / "x.png.xmp").write_text("no xmp")
    source = FoldersSource(first, {"B": second})
    [photo] = [photo for photo in source.find().photos if photo.path == "B/x.png"]
    assert [sidecar.path for sidecar in photo.sidecars] == ["B/x.png.xmp"]
    content = source.content(photo)
    assert content.photo == photo and content.data == (second / "x.png").read_bytes()
    assert [path for path, _ in content.problems] in ([], ["B/x.png.xmp"])
    source.glance(photo)
    part = source.part(lambda path: path.startswith("B/"))
    found = part.find()
    assert [photo.path for photo in found.photos] == ["B/x.png", "B/2019/z.png"]
    assert found.elsewhere == 2


@given(st.text("B./ab", min_size=1) | st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_paths_never_lead_from_one_folder_into_another(inside: str) -> None:
    roots = Roots(Path("/a/first"), {"B": Path("/b/second")})
    name, rest = roots.split(inside)
    assert inside == (f"{name}/{rest}" if name else rest)
    if not inside.startswith("/") and ".." not in inside.split("/"):
        path = roots.path(inside)
        assert path.is_relative_to(roots.by_name[name])
        if path not in roots.by_name.values() and path.parts[:4] != ("/", "a", "first", "B"):
            assert roots.inside(path) == str(Path(inside))
