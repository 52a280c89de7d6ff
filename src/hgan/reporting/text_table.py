"""A table of text, and its forms in Markdown and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text."""

    head: Sequence[str]
    numbers: frozenset[int]
    """Columns with numbers, which are aligned to the right."""
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table in Markdown."""
        rule = ("---:" if i in self.numbers else "---" for i in range(len(self.head)))
        lines = [" | ".join(self.head), *(" | ".join(map(_escaped, row)) for row in self.rows)]
        first, *rest = (f"| {line} |" for line in lines)
        return "\n".join([first, f"|{'|'.join(rule)}|", *rest]) + "\n"

    def html(self) -> str:
        """The table as HTML; a wide one is scrolled in its frame."""
        head = self._row("th", self.head)
        body = "".join(self._row("td", row) for row in self.rows)
        return (
            '<div class="table" tabindex="0" role="group" aria-label="table"><table>'
            f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
        )

    def _row(self, tag: str, cells: Sequence[str]) -> str:
        found = ""
        for i, cell in enumerate(cells):
            mark = ' class="number"' if i in self.numbers else ""
            name = tag if cell else "td"  # an empty heading would be read out
            found += f"<{name}{mark}>{escape(cell)}</{name}>"
        return f"<tr>{found}</tr>"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
