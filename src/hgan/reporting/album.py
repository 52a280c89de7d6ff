"""The photos of a page, each inside it once however often it is shown."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from hgan.errors import DataError
from hgan.runtime.images import open_photo

SIDE = 180
"""Longest side of a photo on the page, in pixels."""


class Album:
    """Makes HTML figures of photos, which refer to the small JPEGs in `photos`.

    Attributes:
        missing: names of the photos that could not be shown.
    """

    def __init__(self, names: Sequence[str], folder: Path | None) -> None:
        """Show photos of this folder.

        Args:
            names: file names of the photos, relative to the folder.
            folder: the folder; None if it is unknown, so that only names are shown.
        """
        self.missing: set[str] = set()
        self._names = names
        self._folder = folder
        self._found: dict[int, tuple[str, tuple[int, int]] | None] = {}

    def figure(self, position: int, right: bool) -> str:
        """The figure of a photo; `right` marks the correct answer."""
        name = escape(self._names[position])
        mark = ' class="right"' if right else ""
        caption = f'<figcaption{mark} title="{name}">{name}</figcaption>'
        if position not in self._found:
            self._found[position] = self._read(self._names[position])
        if (found := self._found[position]) is None:
            return f"<figure>{caption}</figure>"
        width, height = found[1]
        shown = f'<svg role="img" aria-label="{name}" viewBox="0 0 {width} {height}">'
        return f'<figure>{shown}<use href="#photo{position}"/></svg>{caption}</figure>'

    def photos(self) -> str:
        """The photos that figures refer to, for a place in the page where nothing is seen."""
        images = "".join(
            f'<image id="photo{position}" width="{found[1][0]}" height="{found[1][1]}" '
            f'href="data:image/jpeg;base64,{found[0]}"/>'
            for position, found in self._found.items()
            if found is not None
        )
        return f'<svg class="photos" aria-hidden="true"><defs>{images}</defs></svg>'

    def _read(self, name: str) -> tuple[str, tuple[int, int]] | None:
        """A small JPEG in base64 and its size; None if the photo is missing."""
        try:
            if self._folder is None:
                raise DataError("no folder of photos")
            photo = open_photo(self._folder / name, hint=SIDE)
        except DataError:
            self.missing.add(name)
            return None
        photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=70, optimize=True)
        return base64.b64encode(file.getvalue()).decode("ascii"), photo.size
