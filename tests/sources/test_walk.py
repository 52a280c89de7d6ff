"""The walk through folders, with folders that are a dictionary."""

import pytest

from hgan.errors import DataError, HganError
from hgan.sources.types import FolderItem, Photo, PhotoContent, Source, UnreadableFolderError
from hgan.sources.walk import check_any, count_ignored, find_all, rule_for

Tree = dict[str, list[FolderItem] | None]

TREE: Tree = {
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
    "a/c/": [FolderItem("caf\udce9.png"), FolderItem("3.gif"), FolderItem("README")],
    "b/": None,
    ".hidden/": [FolderItem("1.jpg"), FolderItem("deep", is_folder=True)],
    ".hidden/deep/": [FolderItem("2.jpg"), FolderItem("3.txt"), FolderItem("no", is_folder=True)],
    ".hidden/deep/no/": None,
}


class Folders(Source):
    """Folders in memory; files have only a name, except `.hganignore`."""

    root = "root"

    def __init__(self, tree: Tree, rules: dict[str, bytes] | None = None) -> None:
        self.tree = tree
        self.files = rules or {}
        self.asked: list[str] = []
        for path in self.files:
            folder, _, name = path.rpartition("/")
            items = self.tree.get(f"{folder}/" if folder else "") or []
            self.tree = {**self.tree, f"{folder}/" if folder else "": [*items, FolderItem(name)]}

    def find(self):  # type: ignore[no-untyped-def]
        return find_all(self)

    def check(self) -> None:
        check_any(self)

    def glance(self, photo: Photo) -> None:
        raise NotImplementedError

    def list_folder(self, folder: str) -> list[FolderItem]:
        self.asked.append(folder)
        items = self.tree.get(folder)
        if items is None:
            raise UnreadableFolderError("not yours")
        return items

    def read(self, photo: Photo) -> PhotoContent:
        if not self.files.get(photo.path):
            raise DataError(f"{photo.path}: cannot be read (not yours)")
        return PhotoContent(photo, self.files[photo.path])


def test_photos_come_in_order_and_all_else_is_told() -> None:
    listing = Folders(TREE).find()
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
    assert listing.left_out.others == {".txt": 1, "": 1}
    assert listing.left_out.ignored == {"hidden": 1}
    assert listing.ignored == {".hidden/": "hidden"}


def test_ignored_folders_are_counted_only_if_asked() -> None:
    source = Folders(TREE)
    ignored = source.find().ignored
    assert not [folder for folder in source.asked if folder.startswith(".hidden")]
    assert count_ignored(source, ignored) == {"hidden": 3}  # and a folder that cannot be listed
    assert count_ignored(source, {".hidden/deep/no/": "hidden"}) == {}


def test_rules_of_folders_hold_below_them() -> None:
    rules = {
        ".hganignore": b"\xef\xbb\xbf*.png\r\n!.hidden/\r\n",
        "a/.hganignore": b"!2.PNG\n/c/3.gif\n",
    }
    tree = TREE | {"b/": [FolderItem("4.png")]}
    listing = Folders(tree, rules).find()
    assert [photo.path for photo in listing.photos] == [
        "z.jpg",
        ".hidden/1.jpg",
        ".hidden/deep/2.jpg",
        "a/2.PNG",
    ]
    assert listing.left_out.ignored == {
        "hidden": 3,  # one photo, two files of rules
        "*.png in .hganignore": 3,
        "/c/3.gif in a/.hganignore": 1,
    }
    # The same for one path, whether or not there is such a file.
    source = Folders(tree, rules)
    assert rule_for(source, "a/new/5.png") == "*.png in .hganignore"
    assert rule_for(source, "a/c/3.gif") == "/c/3.gif in a/.hganignore"
    assert rule_for(source, "a/.thumbnails/1.jpg") == "hidden"
    assert rule_for(source, "new/folder/1.jpg") is None


def test_bad_rules_are_named_and_the_others_hold() -> None:
    rules = {".hganignore": b"[z-a]\nz.jpg\n!\n# **********\n\xff\n", "a/.hganignore": b""}
    listing = Folders(TREE, rules).find()
    assert [photo.path for photo in listing.photos] == ["a/1.png", "a/2.PNG", "a/c/3.gif"]
    told = {path: why for path, why in listing.skipped.items() if ".hganignore" in path}
    assert told[".hganignore"] == (
        "line 1: '[z-a]' is not a rule of gitignore (bad character range z-a); line 3: '!' is not "
        "a rule of gitignore (Invalid git pattern: '!'); these lines have no effect"
    )
    assert listing.left_out.ignored == {"hidden": 1, "z.jpg in .hganignore": 1}  # each once
    many = Folders(TREE, {".hganignore": b"!\n" * 9}).find().skipped[".hganignore"]
    assert many.count("line ") == 5 and "; and more; these lines have no effect" in many
    assert told["a/.hganignore"].endswith("cannot be read (not yours); its rules have no effect")
    large = Folders(TREE, {".hganignore": b"*\n" * 600_000}).find()
    assert "larger than the limit of 1 MB" in large.skipped[".hganignore"]
    assert len(large.photos) == 4


def test_a_check_stops_at_the_first_photo() -> None:
    source = Folders(TREE)
    source.check()
    assert source.asked == [""]


@pytest.mark.parametrize("ask", [Folders.find, Folders.check])
def test_roots_without_photos(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=r"^root: cannot be read \(not yours\)"):
        ask(Folders({}))
    with pytest.raises(HganError, match=r"^root: no photos here.* left out: 1 not photos: \.txt 1"):
        ask(Folders({"": [FolderItem("notes.txt")]}))
    ignored: Tree = {"": [FolderItem("Trash", is_folder=True)], "Trash/": [FolderItem("1.jpg")]}
    with pytest.raises(HganError, match="ignored folders: Trash/"):
        ask(Folders(ignored))
    ask(Folders(ignored).excluding(["!Trash/"]))
