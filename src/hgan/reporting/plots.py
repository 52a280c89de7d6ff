"""Plots that compare systems, with colours for colour-blind readers and markers for grey print.

A note below each plot describes its data, so that the picture can be used without the report.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from hgan.encoded import TOTAL
from hgan.evaluation.metrics import recall
from hgan.evaluation.types import DIRECTIONS
from hgan.files import atomic_write
from hgan.reporting.records import Record, label_of
from hgan.reporting.statistics import spread

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import LogLocator

Systems = Mapping[str, Sequence[Record]]

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#999999",
    "#000000",
)
"""Colours of Okabe and Ito, without yellow, which is too light on paper."""
INK = "#333333"
"""Colour of error bars, and of S among the levels."""
MARKERS = "osD^vPX"
"""One fewer than the colours, so that the first 56 systems differ in colour or marker."""
LINES = ("-", "--", ":")
HATCHES = ("", "///", "...", "xx")
CHARACTERS_PER_INCH = 14
"""Characters per inch in the note below a plot."""
CURVE_END = 100
LENGTH_BINS = 6


def plot_rsum(systems: Systems, note: str, path: Path) -> None:
    """Plot rSum: on the left as bars from zero; on the right enlarged, with the values of all
    seeds, mean and standard deviation."""
    names = list(systems)[::-1]  # a bar chart starts at the bottom
    values = {name: [_rsum(record) for record in systems[name]] for name in names}
    height = 1.6 + 0.42 * len(names)
    with _figure("rSum", note, path, 2, (10, height), sharey=True) as (left, right):
        for place, name in enumerate(names):
            found = spread(values[name])
            style = {"color": _style(systems, name)["color"]}
            left.barh(place, found.mean, height=0.65, **style)
            left.errorbar(found.mean, place, xerr=found.deviation, capsize=3, color=INK)
            end = found.mean + (found.deviation or 0.0)
            left.annotate(str(found), (end, place), (6, 0), textcoords="offset points", va="center")
            right.errorbar(found.mean, place, xerr=found.deviation, fmt="D", capsize=4, **style)
            offset = [place - 0.22] * len(values[name])
            right.plot(values[name], offset, "o", markersize=4, mfc="none", mec="0.35")
        left.margins(x=0.3)  # space for the labels
        labels = [label_of(systems[name]) for name in names]
        left.set(yticks=range(len(names)), yticklabels=labels, xlabel="rSum, from zero")
        left.set_xlim(left=0)
        right.set(xlabel="rSum, enlarged (circles: seeds)")
        right.grid(axis="x", alpha=0.3)


def plot_cost(systems: Systems, note: str, path: Path) -> None:
    """Plot rSum against the time of a query over all photos, and against the size of an encoded
    photo."""
    with _figure("Accuracy against cost", note, path, 2, (10, 4.6), sharey=True) as (left, right):
        for name, records in systems.items():
            photos = records[0].data[1]
            costs = [record.figures["cost"] for record in records]
            micro = np.mean([cost["microseconds_per_pair"] for cost in costs])
            size = np.mean([cost["bytes_per_image"] for cost in costs])
            found = spread([_rsum(record) for record in records])
            style = _style(systems, name) | {"linestyle": "none", "markersize": 8}
            left.errorbar(micro * photos / 1000, found.mean, found.deviation, capsize=3, **style)
            style["label"] = label_of(records)
            right.errorbar(size, found.mean, found.deviation, capsize=3, **style)
        left.set(xscale="log", ylabel="rSum", xlabel=f"milliseconds per query, {photos:,} photos")
        right.set(xscale="log", xlabel="bytes per image")
        for axes in (left, right):
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=50))
            axes.xaxis.set_major_formatter("{x:,.10g}")
            axes.minorticks_off()
            _widen(axes)
            axes.grid(alpha=0.3)
        _legend(right)


def plot_recall(systems: Systems, note: str, path: Path) -> None:
    """Plot recall at K for K up to 100 in both directions, averaged over seeds."""
    titles = list(DIRECTIONS.values())
    with _figure("Recall at K", note, path, 2, (10, 4.6), sharey=True) as both:
        for way, axes in enumerate(both):
            for name, records in systems.items():
                curves = [recall_curve(record.final_ranks[way]) for record in records]
                style = _style(systems, name) | {"marker": "", "linewidth": 1.6}
                cutoffs = np.arange(1, CURVE_END + 1)
                axes.plot(cutoffs, np.mean(curves, axis=0), label=label_of(records), **style)
            axes.set(xscale="log", xlabel="K", title=titles[way], ylim=(0, 102))
            axes.set_xticks(ticks := [1, 2, 5, 10, 20, 50, 100], labels=map(str, ticks))
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        both[0].set(ylabel="R@K, per cent")
        _legend(both[1])


def recall_curve(ranks: np.ndarray) -> np.ndarray:
    """Recall at 1 to 100 in per cent, (100), from ranks (Q)."""
    counts = np.bincount(np.minimum(ranks, CURVE_END), minlength=CURVE_END + 1)
    return 100.0 * np.cumsum(counts)[:CURVE_END] / len(ranks)


def plot_levels(systems: Systems, note: str, path: Path) -> None:
    """Plot rSum of each level and of S, for each system."""
    levels = list(dict.fromkeys(level for rs in systems.values() for level in rs[0].ranks))
    levels.sort(key=lambda level: level == TOTAL)  # last
    width = max(6.5, 2.5 + 1.1 * len(systems))
    with _figure("rSum by level", note, path, 1, (width, 4.6)) as (axes,):
        width = 0.8 / len(levels)
        # The bars of a system are centred at its name.
        shifts = [
            {level: i - (len(rs[0].ranks) - 1) / 2 for i, level in enumerate(rs[0].ranks)}
            for rs in systems.values()
        ]
        for place, level in enumerate(levels):
            found = {
                x: spread([_rsum(record, level) for record in records])
                for x, records in enumerate(systems.values())
                if level in records[0].ranks
            }
            axes.bar(
                [x + width * shifts[x][level] for x in found],
                [each.mean for each in found.values()],
                width,
                yerr=[
                    np.nan if each.deviation is None else each.deviation for each in found.values()
                ],
                capsize=2,
                color=INK if level == TOTAL else COLOURS[place % len(COLOURS)],
                hatch="" if level == TOTAL else HATCHES[place % len(HATCHES)],
                ecolor="#888888" if level == TOTAL else INK,
                edgecolor="white",
                label=f"{TOTAL} (weighted sum)" if level == TOTAL else level,
            )
        labels = list(map(label_of, systems.values()))
        axes.set_xticks(range(len(systems)), labels=labels, rotation=30, ha="right")
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.set(ylabel="rSum")
        _legend(axes)


def plot_lengths(systems: Systems, texts: Sequence[str], note: str, path: Path) -> None:
    """Plot text-to-image R@1 by the number of words in the caption.

    Args:
        systems: records by system.
        texts: (T) captions of the split.
        note: a description of the data, split and protocol.
        path: the PNG file.
    """
    bins = length_bins(np.array([len(text.split()) for text in texts]))
    with _figure("By length of the caption", note, path, 1, (8.5, 4.6)) as (axes,):
        for name, records in systems.items():
            values = [
                np.mean([recall(record.final_ranks[1][inside], 1) for record in records])
                for inside in bins.values()
            ]
            style = _style(systems, name) | {"label": label_of(records)}
            axes.plot(range(len(bins)), values, **style)
        labels = [f"{label}\n{inside.sum():,}" for label, inside in bins.items()]
        axes.set_xticks(range(len(bins)), labels=labels)
        axes.set(xlabel="words in the caption, and number of captions")
        axes.set(ylabel="text to image R@1, per cent")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        _legend(axes)


def length_bins(words: np.ndarray) -> dict[str, np.ndarray]:
    """Group captions by their word counts (T) into non-empty bins of similar size; return the mask
    (T) of each bin, by its label."""
    edges = np.unique(np.quantile(words, np.linspace(0, 1, LENGTH_BINS + 1), method="lower"))
    lows = edges[:-1] if len(edges) > 1 else edges
    bins = {}
    for place, low in enumerate(lows):
        high = int(words.max()) if place == len(lows) - 1 else int(lows[place + 1]) - 1
        label = f"{low}" if low == high else f"{low} to {high}"
        bins[label] = (words >= low) & (words <= high)
    return bins


def _rsum(record: Record, level: str | None = None) -> float:
    return record.figures["protocols"]["full"][level or record.final]["rsum"]


def _style(systems: Systems, name: str) -> dict[str, Any]:
    """Colour, marker and line style of a system, which are the same in all plots."""
    place = list(systems).index(name)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[(place // len(COLOURS)) % len(LINES)],
    }


def _widen(axes: Any) -> None:
    """Extend a logarithmic axis to a factor of at least five, so that it has two labels."""
    low, high = axes.get_xlim()
    if (short := 5 * low / high) > 1:
        axes.set_xlim(low / short**0.5, high * short**0.5)


def _legend(axes: Any) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)


@contextmanager
def _figure(
    title: str,
    note: str,
    path: Path,
    columns: int,
    size: tuple[float, float],
    sharey: bool = False,
) -> Iterator[Any]:
    """A new figure with axes side by side, which is saved at the end of the `with` block."""
    figure, axes = pyplot.subplots(
        1, columns, figsize=size, sharey=sharey, squeeze=False, layout="constrained"
    )
    figure.suptitle(title, fontweight="bold")
    small = textwrap.fill(note, int(CHARACTERS_PER_INCH * size[0]))
    figure.supxlabel(small, fontsize=8, color="#555555")
    try:
        for each in axes.flat:
            each.spines[["top", "right"]].set_visible(False)
        yield list(axes.flat)
        with atomic_write(path) as file:
            figure.savefig(file, format="png", dpi=150)
    finally:
        pyplot.close(figure)
