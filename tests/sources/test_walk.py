"""The walk through folders, with folders that are a dictionary."""

import pytest

from hgan.errors import DataError, HganError
from hgan.sources.types import Photo
from hgan.sources.walk import FolderItem, UnreadableFolderError, check_any, find_all

TREE: dict[str, list[FolderItem] | None] = {
    "": [
        FolderItem("z.jpg", size=3, mtime=4, etag="e"),
        FolderItem("b", is_folder=True),
        FolderItem("a", is_folder=True),
        FolderItem(".hidden", is_folder=True),
        FolderItem("notes.txt"),
        FolderItem(".hidden.jpg"),
        FolderItem("link", refusal="a link to a folder is not followed"),
    ],
    "a/": [FolderItem("2.PNG"), FolderItem("1.png"), FolderItem("c", is_folder=True)],
    "a/c/": [FolderItem("caf\udce9.png"), FolderItem("3.gif")],
    "b/": None,
}


def listed(folder: str) -> list[FolderItem]:
    items = TREE[folder]
    if items is None:
        raise UnreadableFolderError("not yours")
    return items


def test_photos_come_in_order_and_all_else_is_told() -> None:
    listing = find_all("root", listed)
    assert listing.photos == [
        Photo("z.jpg", 3, 4, "e"),
        Photo("a/1.png", 0, 0),
        Photo("a/2.PNG", 0, 0),
        Photo("a/c/3.gif", 0, 0),
    ]
    assert listing.unread == ("b/",)
    assert listing.skipped == {
        "link": "a link to a folder is not followed",
        "a/c/caf\\xe9.png": "its name is not UTF-8; rename it",
        "b/": "the folder cannot be read (not yours)",
    }


def test_a_check_stops_at_the_first_photo() -> None:
    asked: list[str] = []

    def listing(folder: str) -> list[FolderItem]:
        asked.append(folder)
        return listed(folder)

    check_any("root", listing)
    assert asked == [""]


@pytest.mark.parametrize("ask", [find_all, check_any])
def test_roots_without_photos(ask) -> None:  # type: ignore[no-untyped-def]
    def refuse(_folder: str) -> list[FolderItem]:
        raise UnreadableFolderError("not yours")

    with pytest.raises(DataError, match=r"^root: cannot be read \(not yours\)"):
        ask("root", refuse)
    with pytest.raises(HganError, match=r"^root: no photos here"):
        ask("root", lambda _folder: [FolderItem("notes.txt")])
