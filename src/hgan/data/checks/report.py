"""The result of a check: counts, findings by severity, and the verdict."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

EXAMPLES = 5
"""Number of examples of each kind of finding."""

Severity = Literal["error", "warning", "note"]
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}


@dataclass
class Finding:
    """One kind of problem: its severity, its number, and its first examples."""

    kind: str
    severity: Severity
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The result of a check; with an error, training or its figures would be wrong."""

    path: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Photos and captions of each split, and the shape of features."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def add(self, severity: Severity, kind: str, cases: Iterable[str]) -> None:
        """Count cases of one kind, and keep the first as examples."""
        for case in cases:
            finding = next((f for f in self.findings if f.kind == kind), None)
            if finding is None:
                finding = Finding(kind, severity)
                self.findings.append(finding)
            finding.count += 1
            if len(finding.examples) < EXAMPLES:
                # A file name can be invalid UTF-8, but the output cannot.
                finding.examples.append(case.encode(errors="backslashreplace").decode())

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def render(self, console: Console) -> None:
        """Print counts, findings by severity, and the verdict."""
        columns = list(dict.fromkeys(key for row in self.counts.values() for key in row))
        table = Table("", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        for name in columns:
            table.add_column(name, justify="right")
        for name, row in self.counts.items():
            table.add_row(Text(name), *(f"{row.get(key, 0):,}" for key in columns))
        console.print(Text(self.path), soft_wrap=True)
        if self.counts:
            console.print(table)
        for severity, style in _STYLES.items():
            for finding in self.findings:
                if finding.severity == severity:
                    head = Text(f"{severity}: {finding.kind}", style)
                    console.print(head.append(f"  {finding.count:,}", "bold"))
                    more = finding.count - len(finding.examples)
                    for line in [*finding.examples, *([f"and {more:,} more"] if more else [])]:
                        console.print(Text(f"    {line}"), soft_wrap=True)
        errors = [finding.kind for finding in self.findings if finding.severity == "error"]
        verdict = f"not fit to train on: {', '.join(errors)}" if errors else "fit to train on"
        console.print(Text(verdict, "green" if self.ok else "bold red"))
