"""A page of a report: one HTML file with everything in it, no scripts and nothing from outside."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1c1e; --faint: #62626a;
  --card: #ffffff; --line: #dcdcd8; --right: #006b4f; }
@media (prefers-color-scheme: dark) { :root { --paper: #18181a; --ink: #ececec; --faint: #a0a0a8;
  --card: #232326; --line: #3a3a3e; --right: #5fd3ae; } }
body { font: 16px/1.45 system-ui, sans-serif; background: var(--paper); color: var(--ink);
  max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
p { margin: 0 0 .6rem; } ol, ul { margin: 0 0 .8rem; padding-left: 1.4rem; }
a { color: var(--right); } nav a, .files a { margin-right: 1rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap; }
.number { text-align: right; }
.plot { max-width: 100%; height: auto; background: #fff; border-radius: 8px; }
summary { cursor: pointer; font-weight: 600; padding: .4rem 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem; margin: 1rem 0; display: flex; flex-wrap: wrap; gap: 1.25rem; }
.query { flex: 0 0 15rem; } .found { flex: 1 1 30rem; } .query p:first-child { font-weight: 600; }
.rank { color: var(--faint); font-size: .9rem; margin: 0 0 .4rem; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .75rem; }
.photos { position: absolute; width: 0; height: 0; }
figure { margin: 0; min-width: 0; }
figure svg { width: 100%; aspect-ratio: 1; border-radius: 4px; display: block;
  background: var(--paper); }
figcaption { color: var(--faint); font-size: .75rem; margin-top: .2rem; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.right { color: var(--right); }
"""


@dataclass(frozen=True)
class Part:
    """A part of the page under a heading."""

    name: str
    """Its anchor."""
    title: str
    html: str


def page(title: str, head: str, parts: Sequence[Part], unseen: str = "") -> str:
    """The whole page.

    Args:
        title: the title, as text.
        head: HTML below the title.
        parts: the parts, which the head lists.
        unseen: HTML of what the parts refer to.
    """
    links = "".join(f'<a href="#{part.name}">{escape(part.title)}</a>' for part in parts)
    body = "".join(
        f'<h2 id="{part.name}">{escape(part.title)}</h2>\n{part.html}\n' for part in parts
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body>{unseen}
<main><h1>{escape(title)}</h1>
{head}
<nav>{links}</nav>
{body}</main></body></html>
"""


def paragraphs(*texts: str) -> str:
    """Paragraphs of text."""
    return "".join(f"<p>{escape(text)}</p>\n" for text in texts)


def listed(texts: Sequence[str]) -> str:
    """A list of texts."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>\n"


def picture(png: bytes, title: str) -> str:
    """A PNG picture inside the page."""
    return f'<img class="plot" alt="{escape(title)}" src="{_inside(png, "image/png")}">'


def download(text: str, name: str) -> str:
    """A link that saves a text, which is inside the page, as a file."""
    content = _inside(text.encode("utf-8", "replace"), "text/plain")
    return f'<a download="{name}" href="{content}">{name}</a>'


def _inside(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
