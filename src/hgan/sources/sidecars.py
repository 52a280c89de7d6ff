"""XMP sidecars: files beside a photo in which programs write what they do not write into it.

darktable and digiKam write `photo.jpg.xmp`, Lightroom `photo.xmp`, mostly beside a RAW photo. A
photo that stands for a RAW photo or a clip of the same name has its sidecars as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

SUFFIX = ".xmp"


@dataclass(frozen=True)
class Sidecar:
    """A sidecar in a listing."""

    path: str
    """Path relative to the root, with `/` between folders."""
    size: int
    """Size in bytes."""
    mtime: int
    """Time of the last change, in nanoseconds since 1970; 0 if unknown."""
    etag: str = ""
    """ETag in an object store; empty for a file."""

    @property
    def state(self) -> str:
        """A text that changes with the content, as far as a listing shows."""
        return f"{self.path}\n{self.size}\n{self.etag or self.mtime}"


class Sidecars:
    """The sidecars in a folder."""

    def __init__(self, found: Iterable[Sidecar]) -> None:
        """The sidecars of one folder."""
        self._by_name = {PurePosixPath(one.path).name.lower(): one for one in found}

    def of(self, names: Sequence[str]) -> tuple[Sidecar, ...]:
        """The sidecars of a photo, the one that is believed first at the front.

        Args:
            names: the names of its file, and of the RAW photos and clips that it stands for.
        """
        if not self._by_name:
            return ()
        whole = [f"{name}{SUFFIX}".lower() for name in names]
        stems = [f"{PurePosixPath(name).stem}{SUFFIX}".lower() for name in names]
        wanted = dict.fromkeys([*whole[:1], *stems, *whole[1:]])
        return tuple(self._by_name[name] for name in wanted if name in self._by_name)


def is_sidecar_name(name: str) -> bool:
    """Whether a file with this name may be a sidecar."""
    return name.lower().endswith(SUFFIX)
