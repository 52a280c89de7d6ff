"""Write a report: compare systems in tables, plots and worst queries, on one page.

The page has everything in it. The tables and plots are also written as files, for papers.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from hgan.data.captions.types import Captions
from hgan.errors import ConfigError, DataError
from hgan.files import atomic_write, parse_json
from hgan.reporting import plots, tables
from hgan.reporting.album import Album
from hgan.reporting.page import Part, download, listed, page, paragraphs, picture
from hgan.reporting.records import Record, find_records, label_of, read_split
from hgan.reporting.statistics import RESAMPLES, paired_difference
from hgan.reporting.worst import WORST, worst_queries

Systems = Mapping[str, Sequence[Record]]

PAGE = "report.html"
"""Name of the page."""
PICTURES = {
    "rsum": "rSum",
    "cost": "Accuracy against cost",
    "recall": "Recall at K",
    "levels": "rSum by level",
    "lengths": "By length of the caption",
}
DIFFERENCES = (
    "Difference in rSum on the full split, averaged over the seeds of each system. The interval is "
    f"from a paired cluster bootstrap over queries with {RESAMPLES:,} resamples: photos are drawn "
    "with replacement, together with all their captions; both systems and all seeds use the same "
    "draws. It covers the variation of queries, but not of seeds; for seeds, see the deviations in "
    "the table."
)


def write_report(
    roots: Sequence[Path],
    out: Path,
    split: str,
    reference: str | None = None,
    photos: Path | None = None,
    published: str | None = None,
) -> list[str]:
    """Write the page, tables and plots for the records in some folders and their subfolders.

    Args:
        roots: folders that contain runs.
        out: folder of the report.
        split: the split of the records.
        reference: the system to compare with; by default, the best on validation.
        photos: folder of the photos; by default, the one in the settings of the reference's runs.
        published: name of a set of published results to add; it also sets the protocol.

    Returns:
        A message for everything that was left out.

    Raises:
        DataError: there are no records, or they cannot be compared.
        ConfigError: there is no such reference or set of published results.
    """
    found, problems = find_records(roots, split)
    theirs: list[tables.Row] = []
    protocol = "full"
    if published:
        protocol, theirs = tables.published_rows(published, _any(found).data[1])
    ours = tables.rows(found, protocol)
    systems = {row.system: found[row.system] for row in ours}  # the highest rSum first
    reference = _reference(systems, reference)
    captions: Captions | None = None
    try:
        captions = read_split(systems[reference][0])
    except DataError as error:
        problems.append(f"differences, lengths and worst queries, which need captions: {error}")
    note = _note(systems, protocol)
    parts = [_results(out, [*ours, *theirs], note)]
    unseen = ""
    if captions is not None:
        parts.append(_differences(out, systems, reference, captions))
    parts += _plots(out, systems, captions)
    if captions is not None:
        album = Album(captions.images, photos or _photos(systems[reference]))
        parts.append(_worst(systems, captions, album, note))
        unseen = album.photos()
    parts.append(Part("runs", "Runs", tables.runs(systems, protocol).html()))
    if problems:
        parts.append(Part("left-out", "Left out", listed(problems)))
    title = f"{len(systems)} systems on {_any(systems).data[0]}, {split}"
    _write(out / PAGE, page(title, listed(_facts(systems, protocol)), parts, unseen))
    return problems


def _any(systems: Systems) -> Record:
    return next(iter(systems.values()))[0]


def _reference(systems: Systems, name: str | None) -> str:
    if name is not None:
        if name not in systems:
            raise ConfigError(f"--reference {name}: choose one of {', '.join(systems)}")
        return name
    chosen_on = {
        name: [record.figures["val_rsum"] for record in records]
        for name, records in systems.items()
    }
    if any(value is None for values in chosen_on.values() for value in values):
        return next(iter(systems))
    return max(chosen_on, key=lambda name: statistics.fmean(chosen_on[name]))


def _results(out: Path, rows: Sequence[tables.Row], note: str) -> Part:
    """Write the table of systems in all forms."""
    forms = {
        "table.md": tables.markdown(rows),
        "table.tex": tables.latex(rows, note),
        "table.csv": tables.comma_separated(rows, note),
    }
    for name, text in forms.items():
        _write(out / name, text)
    links = "".join(download(text, name) for name, text in forms.items())
    html = tables.overview(rows).html() + paragraphs(*tables.legend(rows))
    return Part("results", "Results", f'{html}<p class="files">This table as {links}</p>')


def _differences(out: Path, systems: Systems, reference: str, captions: Captions) -> Part:
    """Write the difference of each system to the reference."""
    found = {
        label_of(records): paired_difference(records, systems[reference], captions.image_of)
        for name, records in systems.items()
        if name != reference
    }
    name, title = "differences", "Differences"
    if not found:
        alone = f"{reference} is the only system."
        _write(out / "differences.md", f"{alone}\n")
        return Part(name, title, paragraphs(alone))
    table = tables.differences(label_of(systems[reference]), found)
    _write(out / "differences.md", f"{table.markdown()}\n{DIFFERENCES}\n")
    return Part(name, title, table.html() + paragraphs(DIFFERENCES))


def _plots(out: Path, systems: Systems, captions: Captions | None) -> list[Part]:
    """Draw the plots; those that need captions are left out without them."""
    note = _note(systems, "full")
    plots.plot_rsum(systems, note, out / "rsum.png")
    plots.plot_cost(systems, note, out / "cost.png")
    plots.plot_recall(systems, note, out / "recall.png")
    plots.plot_levels(systems, note, out / "levels.png")
    if captions is not None:
        plots.plot_lengths(systems, captions.texts, note, out / "lengths.png")
    return [
        Part(name, title, picture((out / f"{name}.png").read_bytes(), title))
        for name, title in PICTURES.items()
        if captions is not None or name != "lengths"
    ]


def _worst(systems: Systems, captions: Captions, album: Album, note: str) -> Part:
    """The worst queries of the first seed of every system."""
    pages = [worst_queries(records[0], captions, album) for records in systems.values()]
    texts = [
        f"The {WORST} queries of each system and direction whose correct answer has the highest "
        f"rank. Ranks start at 1. {note}."
    ]
    if album.missing:
        texts.append(f"{len(album.missing)} photos could not be shown; set their folder with "
                     "--photos.")  # fmt: skip
    legend = '<p>Correct answers are <span class="right">green</span>.</p>'
    return Part("worst", "Worst queries", paragraphs(*texts) + legend + "".join(pages))


def _photos(records: Sequence[Record]) -> Path | None:
    """The folder of photos in the settings of the runs, if it exists."""
    for record in records:
        try:
            settings = parse_json((record.folder / "config.json").read_text(encoding="utf-8"))
            folder = Path(settings["data"]["photos"])
        except (OSError, ValueError, KeyError, TypeError):  # for example an ensemble
            continue
        if folder.is_dir():
            return folder
    return None


def _note(systems: Systems, protocol: str) -> str:
    """Data, split, protocol and seeds in one line, for plots and tables used without the report."""
    name, photos, texts = _any(systems).data
    found = {tuple(record.figures["seed"] for record in rs) for rs in systems.values()}
    seeds = {tuple(seed for seed in each if seed is not None) for each in found} - {()}
    listed = " or ".join(", ".join(map(str, each)) for each in sorted(seeds)) or "unknown"
    return (
        f"{name}, {_any(systems).figures['split']} split, protocol {protocol}: {photos:,} photos, "
        f"{texts:,} captions; ties count against the model; checkpoints chosen on validation; mean "
        f"± standard deviation over seeds {listed}"
    )


def _facts(systems: Systems, protocol: str) -> list[str]:
    """What was measured, and how."""
    _, photos, texts = _any(systems).data
    split = _any(systems).figures["split"]
    seeds = "; ".join(
        f"{system}: {', '.join(str(record.figures['seed']) for record in records)}"
        for system, records in systems.items()
        if records[0].figures["seed"] is not None
    )
    return [
        f"Split: {split}, {photos:,} photos, {texts:,} captions. The table uses protocol "
        f"{protocol}; plots and differences use the full split.",
        "Recall is in per cent; rSum is the sum of the six recall values, at most 600.",
        "Ties count against the model; “ties” is the number of queries with a tie.",
        "The checkpoint of a run is from the epoch with the highest rSum on validation (val rSum).",
        f"Mean ± standard deviation over seeds ({seeds}).",
        "“minutes”: duration of the training of a run. “µs/pair”: time for scoring one photo with "
        "one caption, in tiles of many pairs. “bytes/image”: size of an encoded photo.",
    ]


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "replace"))
