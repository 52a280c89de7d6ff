"""Write a page with the worst queries of a run: ranks of the correct answers, and top results.

It is a self-contained HTML file with photos embedded as small JPEGs.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from hgan.data.captions.types import Captions
from hgan.errors import DataError
from hgan.files import atomic_write
from hgan.reporting.records import Record, together
from hgan.runtime.images import open_photo

WORST = 20
_SIDE = 180
"""Longest side of a photo on the page, in pixels."""

_STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1c1e; --faint: #62626a;
  --card: #ffffff; --line: #dcdcd8; --right: #006b4f; }
@media (prefers-color-scheme: dark) { :root { --paper: #18181a; --ink: #ececec; --faint: #a0a0a8;
  --card: #232326; --line: #3a3a3e; --right: #5fd3ae; } }
body { font: 16px/1.45 system-ui, sans-serif; background: var(--paper); color: var(--ink);
  max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem; margin: 1rem 0; display: flex; flex-wrap: wrap; gap: 1.25rem; }
.query { flex: 0 0 15rem; } .found { flex: 1 1 30rem; }
.rank { color: var(--faint); font-size: .9rem; margin: 0 0 .4rem; }
.photos { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; }
figure { margin: 0; min-width: 0; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 4px; display: block;
  background: var(--paper); }
figcaption { color: var(--faint); font-size: .75rem; margin-top: .2rem; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.right { color: var(--right); } ol, ul { margin: 0 0 .8rem; padding-left: 1.4rem; }
p { margin: 0 0 .6rem; } .query p:first-child { font-weight: 600; }
nav a { color: var(--right); margin-right: 1rem; }
"""


def write_worst(record: Record, captions: Captions, photos: Path | None, path: Path) -> None:
    """Write the page with the worst queries of one record, in both directions.

    Args:
        record: the record of a run.
        captions: captions of the record's split.
        photos: folder of the photos; missing photos are replaced by their names.
        path: the HTML file.
    """
    album = _Album(captions.images, photos)
    of_images, of_texts = record.final_ranks
    texts = [_text_query(record, captions, album, t, n) for n, t in _worst(of_texts)]
    images = [_image_query(record, captions, album, i, n) for n, i in _worst(of_images)]
    missing = ""
    if album.missing:
        what = f"{album.missing} photos could not be shown" if photos else "Photos are not shown"
        missing = f"<p>{what}; set their folder with <code>--photos</code>.</p>"
    title = escape(f"Worst queries of {record.name}")
    figures = record.figures
    split = escape(f"{figures['split']} split of {figures['captions']}")
    epoch = escape(together(figures.get("epochs", [figures.get("epoch")])))
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<p>{split}: {record.data[1]:,} photos, {record.data[2]:,} captions; protocol full, checkpoint of
epoch {epoch}. Ranks start at 1; ties count against the model. Correct answers are
<span class="right">green</span>.</p>{missing}
<nav><a href="#texts">text to image</a><a href="#images">image to text</a></nav>
<h2 id="texts">Text to image: the caption's own photo has a high rank</h2>
{"".join(texts)}
<h2 id="images">Image to text: the best of the photo's own captions has a high rank</h2>
{"".join(images)}
</body></html>
"""
    with atomic_write(path) as file:
        file.write(page.encode("utf-8", "replace"))


def _worst(ranks: np.ndarray) -> list[tuple[int, int]]:
    """Rank (starting at 1) and position of the queries with the highest ranks, the worst first."""
    order = np.argsort(-ranks, kind="stable")[:WORST]
    return [(int(ranks[position]) + 1, int(position)) for position in order]


def _text_query(
    record: Record, captions: Captions, album: "_Album", text: int, rank: int
) -> str:
    own = int(captions.image_of[text])
    found = "".join(album.figure(int(i), int(i) == own) for i in record.top_images[text])
    return f"""<section><div class="query"><p>{escape(captions.texts[text])}</p>
<p class="rank">its photo has rank {rank:,} of {len(captions.images):,}</p>
{album.figure(own, True)}</div>
<div class="found"><p class="rank">top results</p><div class="photos">{found}</div></div></section>
"""


def _image_query(
    record: Record, captions: Captions, album: "_Album", image: int, rank: int
) -> str:
    found = "".join(
        _line(captions.texts[t], captions.image_of[t] == image) for t in record.top_texts[image]
    )
    own = (captions.texts[t] for t in np.flatnonzero(captions.image_of == image))
    return f"""<section><div class="query">{album.figure(image, False)}
<p class="rank">its best caption has rank {rank:,} of {len(captions.texts):,}</p></div>
<div class="found"><p class="rank">top results</p><ol>{found}</ol>
<p class="rank">its own captions</p><ul>{"".join(_line(text, True) for text in own)}</ul></div>
</section>
"""


def _line(text: str, right: bool) -> str:
    return f'<li{_mark(right)}>{escape(text)}</li>'


def _mark(right: bool) -> str:
    return ' class="right"' if right else ""


class _Album:
    """Creates HTML figures of photos.

    Attributes:
        missing: number of photos that could not be shown.
    """

    def __init__(self, names: Sequence[str], folder: Path | None) -> None:
        self.missing = 0
        self._names = names
        self._folder = folder

    def figure(self, position: int, right: bool) -> str:
        name = escape(self._names[position])
        picture = self._picture(self._names[position])
        shown = f'<img alt="{name}" src="data:image/jpeg;base64,{picture}">' if picture else ""
        label = f'<figcaption{_mark(right)} title="{name}">{name}</figcaption>'
        return f"<figure>{shown}{label}</figure>"

    def _picture(self, name: str) -> str | None:
        """A small JPEG in base64, or None if the photo is missing."""
        try:
            if self._folder is None:
                raise DataError("no folder of photos")
            photo = open_photo(self._folder / name, hint=_SIDE)
        except DataError:
            self.missing += 1
            return None
        photo.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=70, optimize=True)
        return base64.b64encode(file.getvalue()).decode("ascii")
