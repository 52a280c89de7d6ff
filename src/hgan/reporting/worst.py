"""The worst queries of a run as HTML: ranks of the correct answers, and top results."""

from html import escape

import numpy as np

from hgan.data.captions.types import Captions
from hgan.reporting.album import Album
from hgan.reporting.records import Record, together

WORST = 20
"""Number of queries in each direction."""


def worst_queries(record: Record, captions: Captions, album: Album) -> str:
    """The worst queries of one record in both directions, folded under its name.

    Args:
        record: the record of a run.
        captions: captions of the record's split.
        album: makes figures of the split's photos.
    """
    of_images, of_texts = record.final_ranks
    texts = (_text_query(record, captions, album, t, n) for n, t in _worst(of_texts))
    images = (_image_query(record, captions, album, i, n) for n, i in _worst(of_images))
    figures = record.figures
    epoch = escape(together(figures.get("epochs", [figures.get("epoch")])))
    return f"""<details class="system"><summary>{escape(record.name)}</summary>
<p>Checkpoint of epoch {epoch}.</p>
<h3>Text to image: the caption's own photo has a high rank</h3>
{"".join(texts)}
<h3>Image to text: the best of the photo's own captions has a high rank</h3>
{"".join(images)}
</details>
"""


def _worst(ranks: np.ndarray) -> list[tuple[int, int]]:
    """Rank (starting at 1) and position of the queries with the highest ranks, the worst first."""
    order = np.argsort(-ranks, kind="stable")[:WORST]
    return [(int(ranks[position]) + 1, int(position)) for position in order]


def _text_query(record: Record, captions: Captions, album: Album, text: int, rank: int) -> str:
    own = int(captions.image_of[text])
    found = "".join(album.figure(int(i), int(i) == own) for i in record.top_images[text])
    return f"""<section><div class="query"><p>{escape(captions.texts[text])}</p>
<p class="rank">its photo has rank {rank:,} of {len(captions.images):,}</p>
{album.figure(own, True)}</div>
<div class="found"><p class="rank">top results</p><div class="row">{found}</div></div></section>
"""


def _image_query(record: Record, captions: Captions, album: Album, image: int, rank: int) -> str:
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
    mark = ' class="right"' if right else ""
    return f"<li{mark}>{escape(text)}</li>"
