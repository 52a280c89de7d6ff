"""Justified rows: every photo once and in order, rows as wide as the page, the last one not
stretched."""

import random

import pytest

from tests.serve.web.node import call, needs_node

pytestmark = needs_node

WIDTH, HEIGHT, GAP = 1200, 200, 6


def layouts(cases: list[tuple[list[float], int, int, int]]) -> list[list[dict]]:
    return call("rows.js", "given[0].map((one) => page.justified(...one))", cases)


def made_up(number: int) -> list[tuple[list[float], int, int, int]]:
    draw = random.Random(0)
    kinds = ([4 / 3, 3 / 4, 3 / 2, 1.0], [0.4, 4.0], [1.0], [0.5, 0.51, 0.52])
    return [
        (
            [draw.choice(draw.choice(kinds)) for _ in range(draw.randrange(0, 60))],
            draw.randrange(300, 2600),
            draw.randrange(100, 320),
            draw.choice((0, 3, 6)),
        )
        for _ in range(number)
    ]


def naive(ratios: list[float], width: int, height: int, gap: int) -> list[tuple[int, int]]:
    """The rows' bounds: of all numbers of photos, the first whose height is closest."""
    found, start = [], 0

    def natural(end: int) -> float:
        return (width - gap * (end - 1 - start)) / sum(ratios[start:end])

    while start < len(ratios):
        ends = range(start + 1, len(ratios) + 1)
        low = next((end for end in ends if natural(end) <= height), None)
        if low is None:  # the rest does not fill a row
            found.append((start, len(ratios)))
            break
        close = [end for end in (low - 1, low) if end > start]
        end = min(close, key=lambda one: (max(natural(one) / height, height / natural(one)), -one))
        found.append((start, end))
        start = end
    return found


def test_every_photo_once_and_rows_fill_the_page():
    cases = made_up(200)
    for (ratios, width, height, gap), rows in zip(cases, layouts(cases), strict=True):
        assert [row["start"] for row in rows] == [0, *(row["end"] for row in rows)][: len(rows)]
        assert (rows[-1]["end"] if rows else 0) == len(ratios)
        for row in rows:
            chosen = ratios[row["start"] : row["end"]]
            whole = sum(row["widths"]) + gap * (len(chosen) - 1)
            assert (whole == width) if row["full"] else (whole <= width)
            assert row["full"] or (row is rows[-1] and row["height"] == height)
            for ratio, own in zip(chosen, row["widths"], strict=True):
                # Whole pixels: a row's height is rounded once, and each width once.
                assert own == pytest.approx(ratio * row["height"], abs=2 + ratio)


def test_it_chooses_the_rows_of_its_naive_twin():
    cases = made_up(200)
    for case, rows in zip(cases, layouts(cases), strict=True):
        assert [(row["start"], row["end"]) for row in rows] == naive(*case)


def test_a_row_of_four_and_a_last_one_that_is_not_stretched():
    [rows] = layouts([([1.5] * 5, WIDTH, HEIGHT, GAP)])
    assert [len(row["widths"]) for row in rows] == [4, 1]
    assert rows[0]["height"] == round((WIDTH - 3 * GAP) / 6)
    assert rows[1]["widths"] == [300]


def test_proportions_have_limits():
    sizes = [[400, 300], [0, 0], [None, 5], [10_000, 10], [10, 10_000]]
    ratios = call("rows.js", "given[0].map(([w, h]) => page.ratioOf(w, h))", sizes)
    assert ratios == pytest.approx([4 / 3, 4 / 3, 4 / 3, 4, 0.4])


def test_a_row_keeps_its_width_when_its_photos_are_known_better():
    row = {"start": 1, "end": 4, "height": 100, "widths": [133, 133, 134]}
    widths = call("rows.js", "page.rebalanced(...given)", row, [9, 1, 1, 2, 9])
    assert widths == [100, 100, 200]
