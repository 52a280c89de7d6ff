"""Tables of systems, of their differences and of runs, as text, LaTeX (booktabs) and CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hgan.errors import ConfigError, DataError
from hgan.evaluation.types import CUTOFFS, DIRECTIONS
from hgan.reporting.records import Record, together
from hgan.reporting.statistics import Difference, Spread, spread
from hgan.reporting.text_table import TextTable

FLAGS = {
    "E": "ensemble: mean of the similarities of several models",
    "T": "checkpoint chosen on the test split, so the results are optimistic",
    "P": "published results, not measured here",
}
RECALLS = tuple(f"{short} R@{k}" for short in ("i2t", "t2i") for k in CUTOFFS)
SCORES = (*RECALLS, "rSum", "val rSum")
"""Columns with recall in per cent, or a sum of them, shown with the deviation over seeds."""
COSTS = ("ties", "minutes", "µs/pair", "bytes/image")
"""Columns shown without the deviation."""


@dataclass(frozen=True)
class Row:
    """One system in the table."""

    system: str
    flags: str
    seeds: int | None
    """Number of seeds; None for published results."""
    cells: dict[str, Spread]
    """Values by column; unknown values are missing."""


def rows(systems: Mapping[str, Sequence[Record]], protocol: str) -> list[Row]:
    """One row per system, with the highest rSum first.

    Raises:
        DataError: a record does not contain the protocol.
    """
    found = [_row(name, records, protocol) for name, records in systems.items()]
    return sorted(found, key=lambda row: row.cells["rSum"].mean, reverse=True)


def _row(system: str, records: Sequence[Record], protocol: str) -> Row:
    metrics = [record.metrics(protocol) for record in records]
    columns: dict[str, list[float | None]] = dict(
        zip(
            RECALLS,
            ([m[way]["recall"][f"R@{k}"] for m in metrics] for way in DIRECTIONS for k in CUTOFFS),
            strict=True,
        )
    )
    columns["rSum"] = [m["rsum"] for m in metrics]
    columns["val rSum"] = [record.figures["val_rsum"] for record in records]
    columns["ties"] = [m["tied"] for m in metrics]
    columns["minutes"] = [record.minutes for record in records]
    for name, key in (("µs/pair", "microseconds_per_pair"), ("bytes/image", "bytes_per_image")):
        columns[name] = [record.figures["cost"][key] for record in records]
    cells = {
        name: spread(known)
        for name, values in columns.items()
        if len(known := [value for value in values if value is not None]) == len(values)
    }
    flags = "E" if any(record.is_ensemble for record in records) else ""
    return Row(system, flags, len(records), cells)


def published_sets() -> dict[str, Any]:
    """Sets of published results by name, copied from the tables of the papers."""
    text = files("hgan.reporting").joinpath("published.json").read_text(encoding="utf-8")
    return json.loads(text)


def published_rows(name: str, photos: int) -> tuple[str, list[Row]]:
    """The protocol of a set of published results, and one row per system.

    Raises:
        ConfigError: there is no such set.
        DataError: our records have another number of photos, so they are for another split.
    """
    sets = published_sets()
    if name not in sets:
        raise ConfigError(f"--published {name}: choose one of {', '.join(sets)}")
    chosen = sets[name]
    if chosen["photos"] != photos:
        raise DataError(
            f"the published results of {name} are for {chosen['photos']:,} photos, but the records "
            f"are for {photos:,}; they cannot be compared"
        )
    return chosen["protocol"], [_published_row(system) for system in chosen["systems"]]


def _published_row(system: dict[str, Any]) -> Row:
    values = dict(zip(RECALLS, (v for way in DIRECTIONS for v in system[way]), strict=True))
    values["rSum"] = system["rsum"]
    cells = {name: Spread(value, None) for name, value in values.items() if value is not None}
    return Row(system["system"], system["flags"] + "P", None, cells)


def overview(table: Sequence[Row]) -> TextTable:
    """A table with all columns; `legend` has the meaning of the flags."""
    head = ["system", "", "seeds", *SCORES, *COSTS]
    cells = [[row.system, " ".join(row.flags), _seeds(row), *_texts(row)] for row in table]
    return TextTable(head, frozenset(range(2, len(head))), cells)


def markdown(table: Sequence[Row]) -> str:
    """The overview in Markdown, with a legend of the flags."""
    return overview(table).markdown() + "".join(f"\n{line}  " for line in legend(table)) + "\n"


def legend(table: Sequence[Row]) -> list[str]:
    """The meaning of the flags in a table."""
    used = {flag for row in table for flag in row.flags}
    return [f"{flag}: {meaning}." for flag, meaning in FLAGS.items() if flag in used]


def latex(table: Sequence[Row], note: str) -> str:
    """A LaTeX table for the booktabs package, with published results below a line.

    Args:
        table: the rows.
        note: a description of the data, split and protocol.
    """
    numbers = len(RECALLS) + 2
    lines = [
        f"% {note}",
        r"% needs \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * (numbers + 1)}}}",
        r"\toprule",
        r" & & \multicolumn{3}{c}{image to text} & \multicolumn{3}{c}{text to image} & & \\",
        r"\cmidrule(lr){3-5}\cmidrule(lr){6-8}",
        "system & seeds & " + " & ".join(f"R@{k}" for k in CUTOFFS * 2) + r" & rSum & val rSum \\",
        r"\midrule",
    ]
    before = None
    for row in table:
        if before is not None and "P" in row.flags and "P" not in before.flags:
            lines.append(r"\midrule")
        name = _escaped(row.system)
        if row.flags:
            name += f"$^{{\\mathrm{{{','.join(row.flags)}}}}}$"
        cells = [text.replace("±", r"$\pm$") for text in _texts(row)[: len(SCORES)]]
        lines.append(" & ".join([name, _seeds(row), *cells]) + r" \\")
        before = row
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in legend(table))]
    return "\n".join(lines) + "\n"


def comma_separated(table: Sequence[Row], note: str) -> str:
    """A CSV table with unrounded means and deviations, and the note in each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scores = [column for name in SCORES for column in (name, f"{name} sd")]
    writer.writerow(["system", "flags", "seeds", *scores, *COSTS, "note"])
    for row in table:
        values: list[Any] = [row.system, row.flags, row.seeds]
        for name in SCORES:
            cell = row.cells.get(name)
            values += [cell.mean, cell.deviation] if cell else [None, None]
        values += [cell.mean if (cell := row.cells.get(name)) else None for name in COSTS]
        values.append(FLAGS["P"] if "P" in row.flags else note)
        writer.writerow(values)
    return text.getvalue()


def differences(reference: str, found: Mapping[str, Difference]) -> TextTable:
    """A table with the difference of each system to the reference."""
    head = ["system", f"rSum minus that of {reference}", "95 % interval"]
    cells = [
        [name, f"{each.mean:+.1f}", f"{each.low:+.1f} to {each.high:+.1f}"]
        for name, each in found.items()
    ]
    return TextTable(head, frozenset({1, 2}), cells)


def runs(systems: Mapping[str, Sequence[Record]], protocol: str) -> TextTable:
    """A table with all runs."""
    head = ["system", "seed", "epoch", "rSum", "val rSum", "weights of levels", "checkpoint"]
    rows: list[list[str]] = []
    for name, records in systems.items():
        for record in records:
            figures, val = record.figures, record.figures["val_rsum"]
            checkpoints = figures.get("ensemble") or [figures["checkpoint"]]
            cells = [
                name,
                together(figures.get("seeds", [figures["seed"]])),
                together(figures.get("epochs", [figures.get("epoch")])),
                f"{record.metrics(protocol)['rsum']:.1f}",
                "" if val is None else f"{val:.1f}",
                ", ".join(f"{level} {w:.1f}" for level, w in figures["weights"].items()),
                " + ".join(checkpoints),
            ]
            rows.append(cells)
    return TextTable(head, frozenset({1, 3, 4}), rows)


def _seeds(row: Row) -> str:
    return "" if row.seeds is None else str(row.seeds)


def _texts(row: Row) -> list[str]:
    """Cells of the scores with deviations, then of the costs."""
    scores = [str(cell) if (cell := row.cells.get(name)) else "" for name in SCORES]
    forms = dict(zip(COSTS, (".0f", ".1f", ".3g", ",.0f"), strict=True))
    costs = [format(c.mean, forms[n]) if (c := row.cells.get(n)) else "" for n in COSTS]
    return scores + costs


def _escaped(text: str) -> str:
    """Escape special characters of LaTeX; `\\` is first, since the other replacements add it."""
    text = text.replace("\\", r"\textbackslash ")
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text.replace("~", r"\textasciitilde ").replace("^", r"\textasciicircum ")
