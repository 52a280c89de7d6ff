"""MkDocs hook: add pages from outside docs/ to the site, and adapt links.

In the repository, links are relative paths of files, such as `[scaling](docs/scaling.md)` in
README.md. On the site, some files have other paths (README.md is the first page), so the links are
replaced. Other files that pages link to, such as those of deploy/, are added with the same paths.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "vulnerabilities.md",
    "results/README.md": "records.md",
    "LICENSE": "LICENSE.txt",
}
"""Files outside docs/, and their paths on the site."""
INSIDE = {place: name for name, place in OUTSIDE.items()}

LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the files outside docs/ to the site: those of `OUTSIDE`, and those that pages link to."""
    pages = {
        f"docs/{page.src_uri}": Path(str(page.abs_src_path)) for page in files.documentation_pages()
    }
    pages |= {name: ROOT / name for name in OUTSIDE if name.endswith(".md")}
    targets = (
        _target(name, link["path"])
        for name, page in pages.items()
        for link in LINK.finditer(page.read_text())
    )
    linked = {t: t for t in targets if not t.startswith(("docs/", "../")) and (ROOT / t).is_file()}
    for name, place in (linked | OUTSIDE).items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the links of a page."""
    place = page.file.src_uri
    source = INSIDE.get(place, f"docs/{place}")

    def on_the_site(link: re.Match[str]) -> str:
        target = _target(source, link["path"])
        found = OUTSIDE.get(target, target.removeprefix("docs/"))
        path = posixpath.relpath(found, posixpath.dirname(place) or ".")
        return f"]({path}{link['anchor'] or ''})"

    return LINK.sub(on_the_site, markdown)


def _target(source: str, link: str) -> str:
    """Path in the repository of what a file links to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
