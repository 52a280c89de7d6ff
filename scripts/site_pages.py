"""MkDocs hook: add pages from outside docs/ to the site, and adapt links.

In the repository, links are relative paths of files, such as `[scaling](docs/scaling.md)` in
README.md. On the site, some files have other paths (README.md is the first page), so the links are
replaced.
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
    "compose.yaml": "compose.yaml",
}
"""Files outside docs/, and their paths on the site."""
INSIDE = {place: name for name, place in OUTSIDE.items()}

LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the files outside docs/ to the site."""
    for name, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the links of a page."""
    place = page.file.src_uri
    source = INSIDE.get(place, f"docs/{place}")

    def on_the_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
        found = OUTSIDE.get(target, target.removeprefix("docs/"))
        path = posixpath.relpath(found, posixpath.dirname(place) or ".")
        return f"]({path}{link['anchor'] or ''})"

    return LINK.sub(on_the_site, markdown)
