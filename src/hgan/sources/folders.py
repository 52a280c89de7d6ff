"""The source for photos in several folders; see `hgan.sources.roots` for their paths.

Each folder is a `FolderSource` with rules of its own. A folder that cannot be read, such as a disk
that is not plugged in, does not stop the others: what is in it is unknown, not missing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from hgan.errors import HganError
from hgan.sources.folder import FolderSource
from hgan.sources.roots import Roots
from hgan.sources.types import FolderItem, Listing, Photo, PhotoContent, Source


class FoldersSource(Source):
    """Photos in several folders and their subfolders."""

    def __init__(
        self, root: Path, folders: Mapping[str, Path], chosen: Iterable[str] | None = None
    ) -> None:
        """Use the photos below several folders, none of which is in another one.

        Args:
            root: the first folder.
            folders: the others by name.
            chosen: names of the folders that are listed, empty for the first one; all by default.
        """
        self.root: Path = root
        self.folders = dict(folders)
        self.chosen = frozenset(["", *folders] if chosen is None else chosen)
        self.roots = Roots(root, self.folders)
        """Where the photos are."""

    def parts(self) -> dict[str, FolderSource]:
        """The folders that are listed, by name, with the first one at the front."""
        return {name: self._part(name) for name in ("", *self.folders) if name in self.chosen}

    def find(self) -> Listing:
        """List all photos of the chosen folders; those that cannot be read are in `absent`.

        Raises:
            HganError: none of them can be read, or contains photos.
        """
        whole, errors = Listing(), list[HganError]()
        for name in self.roots.by_name:
            prefix = f"{name}/" if name else ""
            if name not in self.chosen:
                whole.unread += (prefix,)
                continue
            part = self._part(name)
            try:
                found = part.find()
            except HganError as error:
                errors.append(error)
                whole.unread += (prefix,)
                whole.absent[str(part.root)] = str(error)
                continue
            whole.read += (prefix,)
            _add(whole, found, prefix)
        if len(errors) == len(self.chosen):
            raise errors[0]
        return whole

    def check(self) -> None:
        """Raise the errors of `find`, but stop at the first photo."""
        errors = list[HganError]()
        for part in self.parts().values():
            try:
                part.check()
                return
            except HganError as error:
                errors.append(error)
        raise errors[0]

    def locate(self, path: str) -> tuple[Source, str]:
        """The folder of a photo, and its path there."""
        name, rest = self.roots.split(path)
        return self._part(name), rest

    def read(self, photo: Photo) -> PhotoContent:
        """Read a photo without its sidecars; see `FolderSource.read`."""
        return self._read(photo, lambda part, inner: part.read(inner))

    def content(self, photo: Photo) -> PhotoContent:
        """Read a photo and its sidecars; see `Source.content`."""
        return self._read(photo, lambda part, inner: part.content(inner))

    def glance(self, photo: Photo) -> None:
        """Look at the start of a photo's file; see `FolderSource.glance`."""
        part, path = self.locate(photo.path)
        part.glance(replace(photo, path=path))

    def list_folder(self, folder: str) -> Iterator[FolderItem]:
        """List one folder; the root is the first folder."""
        name, rest = self.roots.split(folder)
        if (whole := folder.removesuffix("/")) in self.folders:
            name, rest = whole, ""
        yield from self._part(name).list_folder(rest)

    def _read(self, photo: Photo, read: Callable[[Source, Photo], PhotoContent]) -> PhotoContent:
        part, path = self.locate(photo.path)
        prefix = photo.path[: len(photo.path) - len(path)]
        sidecars = (replace(one, path=one.path[len(prefix) :]) for one in photo.sidecars)
        found = read(part, replace(photo, path=path, sidecars=tuple(sidecars)))
        problems = tuple((prefix + name, why) for name, why in found.problems)
        whole = replace(found.photo, path=photo.path, sidecars=photo.sidecars)
        return replace(found, photo=whole, problems=problems)

    def _part(self, name: str) -> FolderSource:
        part = FolderSource(self.folders[name]) if name else _First(self.root, self.folders)
        part.rules, part.threads = self.rules, self.threads
        if (holds := self.holds) is not None:
            prefix = f"{name}/" if name else ""
            part.holds = lambda path: holds(prefix + path)
        return part


class _First(FolderSource):
    """The first folder, without folders whose photos would have the paths of another folder's."""

    def __init__(self, root: Path, folders: Mapping[str, Path]) -> None:
        super().__init__(root)
        self._others = folders

    def list_folder(self, folder: str) -> Iterator[FolderItem]:
        """List one folder; see `FolderSource.list_folder`."""
        for item in super().list_folder(folder):
            if not folder and item.is_folder and item.name in self._others:
                where = self._others[item.name]
                refusal = f"the index has photos of {where} under this name; rename this folder"
                item = FolderItem(item.name, refusal=refusal)
            yield item


def check_each(source: Source) -> None:
    """Raise the errors of `Source.check`, also if only one of several folders cannot be read."""
    for part in source.parts().values() if isinstance(source, FoldersSource) else [source]:
        part.check()


def _add(whole: Listing, part: Listing, prefix: str) -> None:
    """Add the listing of a folder, with the paths of the index."""
    whole.photos += [_below(prefix, photo) for photo in part.photos] if prefix else part.photos
    whole.skipped |= {prefix + path: why for path, why in part.skipped.items()}
    whole.ignored |= {prefix + path: rule for path, rule in part.ignored.items()}
    whole.unread += tuple(prefix + folder for folder in part.unread)
    whole.elsewhere += part.elsewhere
    whole.left_out.add_all(part.left_out, prefix)


def _below(prefix: str, photo: Photo) -> Photo:
    sidecars = tuple(replace(one, path=prefix + one.path) for one in photo.sidecars)
    return replace(photo, path=prefix + photo.path, sidecars=sidecars)
