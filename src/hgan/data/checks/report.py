"""The report of a check: counts, findings by severity, and the verdict."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hgan.terminal import visible

EXAMPLES = 5
"""Number of examples that are shown for each kind of finding."""

Severity = Literal["error", "warning", "note"]
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}


@dataclass
class Finding:
    """One kind of problem, with its severity, number of cases, and first examples."""

    kind: str
    severity: Severity
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The result of a check. Errors would make training fail or its results wrong."""

    path: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Photos and captions of each split, and the shape of features."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def add(self, severity: Severity, kind: str, cases: Iterable[str]) -> None:
        """Count cases of one kind, and store the first ones as examples."""
        for case in cases:
            finding = next((f for f in self.findings if f.kind == kind), None)
            if finding is None:
                finding = Finding(kind, severity)
                self.findings.append(finding)
            finding.count += 1
            if len(finding.examples) < EXAMPLES:
                # File names can contain invalid UTF-8, which cannot be printed.
                finding.examples.append(case.encode(errors="backslashreplace").decode())

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"ok": self.ok, **asdict(self)}

    def render(self, console: Console) -> None:
        """Print the counts, the findings by severity, and the verdict."""
        columns = list(dict.fromkeys(key for row in self.counts.values() for key in row))
        table = Table("", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        for name in columns:
            table.add_column(name, justify="right")
        for name, row in self.counts.items():
            table.add_row(Text(visible(name)), *(f"{row.get(key, 0):,}" for key in columns))
        console.print(Text(visible(self.path)), soft_wrap=True)
        if self.counts:
            console.print(table)
        for severity, style in _STYLES.items():
            for finding in self.findings:
                if finding.severity == severity:
                    head = Text(f"{severity}: {finding.kind}", style)
                    console.print(head.append(f"  {finding.count:,}", "bold"))
                    more = finding.count - len(finding.examples)
                    for line in [*finding.examples, *([f"and {more:,} more"] if more else [])]:
                        console.print(Text(visible(f"    {line}")), soft_wrap=True)
        errors = [finding.kind for finding in self.findings if finding.severity == "error"]
        verdict = f"not ready for training: {', '.join(errors)}" if errors else "ready for training"
        console.print(Text(verdict, "green" if self.ok else "bold red"))
