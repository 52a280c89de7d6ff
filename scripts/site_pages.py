"""Hook of MkDocs: pages of the site that lie outside docs/, and links that lead to them.

In the repository a link goes from file to file, as in `[scaling](docs/scaling.md)` of README.md. On
the site README.md is the first page, so each link is followed in the repository and written anew.
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
    "SECURITY.md": "security.md",
    "results/README.md": "records.md",
    "LICENSE": "LICENSE.txt",
    "compose.yaml": "compose.yaml",
}
"""Files of the repository, and what they are called on the site."""
INSIDE = {place: name for name, place in OUTSIDE.items()}

LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    for name, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    place = page.file.src_uri
    source = INSIDE.get(place, f"docs/{place}")

    def on_the_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
        found = OUTSIDE.get(target, target.removeprefix("docs/"))
        path = posixpath.relpath(found, posixpath.dirname(place) or ".")
        return f"]({path}{link['anchor'] or ''})"

    return LINK.sub(on_the_site, markdown)
