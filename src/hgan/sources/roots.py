"""Where the photos of an index are: in one folder, at one address, or in several folders.

The paths of an index are relative to its first folder. Photos of other folders are below the name
of their folder:

    /home/me/Pictures          2023/beach.jpg
    /media/disk/Photos         Photos/2019/snow.jpg

So a folder can be added to an index whose photos have paths and ids already. A folder of this name
inside of the first one is not indexed; see `hgan.sources.folders`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath


@dataclass(frozen=True)
class Roots:
    """The folders of an index; translates between paths of the index and files."""

    first: PurePath
    """The first folder, or an address; of an index of texts, their file."""
    others: Mapping[str, Path] = field(default_factory=dict)
    """Further folders by name. No folder is in another one."""

    @property
    def by_name(self) -> dict[str, PurePath]:
        """All folders; the name of the first one is empty."""
        return {"": self.first, **self.others}

    def split(self, inside: str) -> tuple[str, str]:
        """The name of the folder of a path of the index, and the path relative to that folder."""
        name, _, rest = inside.partition("/")
        is_below = rest and rest[0] != "/"  # or it would be an absolute path
        return (name, rest) if is_below and name in self.others else ("", inside)

    def path(self, inside: str) -> PurePath:
        """The file or address of a photo, from its path in the index."""
        name, rest = self.split(inside)
        return self.by_name[name] / rest

    def inside(self, path: PurePath) -> str:
        """The path in the index of a file or an address.

        Raises:
            ValueError: it is in none of the folders, or where nothing is indexed.
        """
        for name, folder in self.others.items():
            if path.is_relative_to(folder):
                return f"{name}/{path.relative_to(folder).as_posix()}"
        found = path.relative_to(self.first).as_posix()
        if self.split(found)[0]:
            raise ValueError(f"{path}: not indexed, {found} is a path in another folder")
        return found

    def __str__(self) -> str:
        return " and ".join(map(str, self.by_name.values()))
