"""The table of systems in three formats, with published figures beside ours."""

import csv
import io
from pathlib import Path

import pytest

from hgan.errors import ConfigError, DataError
from hgan.reporting.records import find_records
from hgan.reporting.statistics import Difference, Spread
from hgan.reporting.tables import (
    RECALLS,
    Row,
    comma_separated,
    differences,
    latex,
    markdown,
    published_rows,
    published_sets,
    rows,
)
from hgan.reporting.text_table import TextTable
from tests.fixtures.records import write_captions, write_run


@pytest.fixture
def table(tmp_path: Path) -> list[Row]:
    """A system with two seeds, and a worse one with one: an ensemble not chosen on validation."""
    captions = write_captions(tmp_path / "data")
    for seed in (1, 2):
        write_run(tmp_path / "runs" / "full_one", captions, seed, 0.5)
    worse = {"ensemble": ["a", "b"], "val_rsum": None}
    write_run(tmp_path / "runs" / "pair", captions, 1, 2.0, **worse)
    (tmp_path / "runs" / "pair" / "seed1" / "minutes.json").unlink()
    return rows(find_records([tmp_path / "runs"], "test")[0], "full")


def test_rows_are_means_over_seeds_the_best_first(table: list[Row]) -> None:
    assert [(row.system, row.flags, row.seeds) for row in table] == [
        ("full_one", "", 2),
        ("pair", "E", 1),
    ]
    best, worse = table
    assert best.cells["rSum"].mean == pytest.approx(sum(best.cells[n].mean for n in RECALLS))
    assert best.cells["rSum"].mean > worse.cells["rSum"].mean
    assert best.cells["val rSum"].mean == 296.5 and best.cells["minutes"].mean == 8.5
    assert best.cells["rSum"].deviation is not None and worse.cells["rSum"].deviation is None
    assert "val rSum" not in worse.cells and "minutes" not in worse.cells


def test_markdown_has_a_deviation_only_with_several_seeds(table: list[Row]) -> None:
    lines = markdown(table).splitlines()
    assert {line.count("|") for line in lines[:4]} == {lines[0].count("|")}
    assert "±" in lines[2] and "±" not in lines[3]
    assert lines[3].startswith("| pair | E | 1 | ")
    assert any(line.startswith("E: ensemble") for line in lines)
    assert "T: " not in markdown(table)


def test_csv_is_not_rounded(table: list[Row]) -> None:
    found = list(csv.DictReader(io.StringIO(comma_separated(table, "test split"))))
    assert float(found[0]["rSum"]) == table[0].cells["rSum"].mean
    assert float(found[0]["rSum sd"]) == table[0].cells["rSum"].deviation
    assert {row["note"] for row in found} == {"test split"}
    assert found[1]["rSum sd"] == "" and found[1]["val rSum"] == ""


def test_latex_escapes_names_and_parts_published_rows(table: list[Row]) -> None:
    odd = Row("50% & $x_1", "EP", None, {"rSum": Spread(1.0, None)})
    note, *lines = latex([*table, odd], "test split").splitlines()
    assert note == "% test split"
    inside = [line for line in lines if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.replace(r"\&", "").count("&") for line in inside} == {9}
    assert r"full\_one & 2 & " in lines[7] and r"$\pm$" in lines[7]
    assert lines[9] == r"\midrule"
    assert lines[10].startswith(r"50\% \& \$x\_1$^{\mathrm{E,P}}$ &  & ")


@pytest.mark.parametrize("name", ["flickr30k-1k", "coco-1k", "coco-5k"])
def test_published_figures_add_up(name: str) -> None:
    chosen = published_sets()[name]
    protocol, found = published_rows(name, chosen["photos"])
    assert protocol == ("coco-1k" if name == "coco-1k" else "full")
    assert all(set(row.flags) <= set("ETP") and "P" in row.flags for row in found)
    assert any("E" in row.flags for row in found) and any("T" in row.flags for row in found)
    complete = [row for row in found if set(row.cells) == {*RECALLS, "rSum"}]
    assert len(complete) >= 5
    for row in complete:  # the authors round each recall
        total = sum(row.cells[column].mean for column in RECALLS)
        assert row.cells["rSum"].mean == pytest.approx(total, abs=0.35), row.system


def test_published_figures_of_another_split_are_refused() -> None:
    with pytest.raises(DataError, match=r"for 5,000 photos, but the records are for 1,000"):
        published_rows("coco-5k", 1000)
    with pytest.raises(ConfigError, match="choose one of flickr30k-1k, coco-1k, coco-5k"):
        published_rows("coco", 5000)


def test_differences_have_signs() -> None:
    table = differences("full", {"less": Difference(-3.25, -6.0, 0.5)})
    assert table.markdown().splitlines()[2] == "| less | -3.2 | -6.0 to +0.5 |"


def test_tables_escape_what_their_form_needs() -> None:
    table = TextTable(["name", "value"], frozenset({1}), [["a|b <c>", "1"]])
    assert table.markdown() == "| name | value |\n|---|---:|\n| a\\|b <c> | 1 |\n"
    assert '<th>name</th><th class="number">value</th>' in table.html()
    assert '<td>a|b &lt;c&gt;</td><td class="number">1</td>' in table.html()
