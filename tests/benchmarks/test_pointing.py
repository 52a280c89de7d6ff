"""The pointing benchmark, with a tiny bundle: its words are colours, its regions are quarters."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.pointing import (
    Mosaic,
    Pointing,
    draw_groups,
    draw_sheet,
    draw_times,
    explain_all,
    make_mosaic,
    measure,
    quarters_of,
    whole_caption,
)
from hgan.data.captions.read import read_captions
from hgan.errors import ConfigError, DataError
from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pointing.py"
SHOWN = ("red", "green", "blue", "white")
WHITE = (230, 230, 230)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixteen photos, four of each colour; captions are the colour."""
    with (tmp_path / "captions.jsonl").open("w") as file:
        for number in range(16):
            colour = SHOWN[number % 4]
            name = f"{number}.png"
            save_photo(tmp_path / "images" / name, COLOURS.get(colour, WHITE), number)
            captions = [f"a {colour} photo of the {colour}", colour]
            split = "test" if number < 12 else "val"
            file.write(json.dumps({"image": name, "captions": captions, "split": split}) + "\n")
    return tmp_path


def mosaics(data: Path, *groups: list[int]) -> list[Mosaic]:
    captions = read_captions(data / "captions.jsonl")
    return [make_mosaic(captions, group, data / "images") for group in groups]


def test_a_mosaic_has_each_photo_in_its_quarter_with_its_captions(data: Path) -> None:
    (mosaic,) = mosaics(data, [2, 4, 9, 3])  # blue, red, green, white
    assert mosaic.image.size == (448, 448)
    pixels = np.asarray(mosaic.image, np.float64)
    for quarter, colour in enumerate(("blue", "red", "green", "white")):
        top, left = quarter // 2 * 224, quarter % 2 * 224
        mean = pixels[top : top + 224, left : left + 224].mean((0, 1))
        assert np.abs(mean - COLOURS.get(colour, WHITE)).max() < 15
    assert mosaic.captions == [
        (caption, quarter)
        for quarter, colour in enumerate(("blue", "red", "green", "white"))
        for caption in (f"a {colour} photo of the {colour}", colour)
    ]


def test_words_of_colours_point_at_their_quarters(data: Path, bundle: Bundle) -> None:
    """Two mosaics in another order: the four captions that say only a colour are all right."""
    found = mosaics(data, [0, 1, 2, 3], [7, 6, 5, 4])
    for mosaic in found:
        for explanation, quarter in explain_all(bundle, mosaic):
            if explanation.text in COLOURS:
                assert [word.region for word in explanation.words] == [quarter]
    result = measure(bundle, found)
    # Content words: "red photo red" in one caption, "red" in the other, for four colours.
    assert result.asked[:, :2].tolist() == [[8, 16], [8, 16]]
    assert (result.asked[:, 2] > 0).all() and (result.asked[:, 2] <= 16).all()
    assert (result.hits <= result.asked).all() and (result.shares() > 50).all()


def test_explanations_are_those_of_the_model(data: Path, bundle: Bundle) -> None:
    (mosaic,) = mosaics(data, [0, 1, 2, 3])
    for found, _ in explain_all(bundle, mosaic)[:3]:
        expected = bundle.explain(mosaic.image, found.text)
        assert found.as_dict() == expected.as_dict()


def test_a_whole_caption_points_where_the_sum_of_its_words_is_highest(
    data: Path, bundle: Bundle
) -> None:
    (mosaic,) = mosaics(data, [0, 1, 2, 3])
    found = explain_all(bundle, mosaic)[0][0]
    total = sum(word.pieces.sum(axis=0) for word in found.words)
    assert whole_caption(found).region == int(np.argmax(total))


def test_hits_are_counted_by_hand(data: Path, bundle: Bundle) -> None:
    (mosaic,) = mosaics(data, [0, 5, 10, 15])
    (row,) = measure(bundle, [mosaic]).hits
    words = captions = sure = 0
    for explanation, quarter in explain_all(bundle, mosaic):
        total = sum(word.pieces.sum(axis=0) for word in explanation.words)
        captions += int(np.argmax(total)) == quarter  # 2 x 2 regions: a region is a quarter
        content = [w for w in explanation.words if w.text not in ("a", "of", "the")]
        words += sum(word.region == quarter for word in content)
        sure += sum(word.region == quarter for word in content if word.is_sure)
    assert row.tolist() == [captions, words, sure]


def test_regions_on_the_border_are_in_no_quarter() -> None:
    for grid, border in ((2, 0), (3, 5), (6, 0)):
        edges = np.linspace(0, 1, grid + 1)
        boxes = [
            [edges[x], edges[y], edges[x + 1], edges[y + 1]]
            for y in range(grid)
            for x in range(grid)
        ]
        quarters = quarters_of(boxes)
        assert (quarters == -1).sum() == border
        assert quarters[[0, grid - 1, -grid, -1]].tolist() == [0, 1, 2, 3]
        assert len(set(np.bincount(quarters[quarters >= 0]).tolist())) == 1  # equal by chance


def test_each_photo_is_in_one_mosaic() -> None:
    groups = draw_groups(41, 10, 3)
    assert groups.shape == (10, 4) and len(set(groups.ravel().tolist())) == 40
    assert (groups == draw_groups(41, 10, 3)).all() and (groups != draw_groups(41, 10, 4)).any()
    assert draw_groups(41, None, 3).shape == (10, 4)
    assert draw_groups(4000, None, 3).shape == (250, 4)
    with pytest.raises(ConfigError, match="1 mosaics: 3 photos are enough for 0;"):
        draw_groups(3, None, 3)
    for number in (0, 11):
        with pytest.raises(ConfigError, match=f"{number} mosaics: 41 photos are enough for 10;"):
            draw_groups(41, number, 3)


def test_shares_are_those_of_the_drawn_mosaics() -> None:
    found = Pointing(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[4.0, 8.0], [4.0, 2.0]]))
    assert found.shares() == pytest.approx([50.0, 20.0])
    times = np.array([[2.0, 0.0], [1.0, 1.0]])
    assert found.shares(times) == pytest.approx(np.array([[25.0, 25.0], [50.0, 20.0]]))
    assert (draw_times(2, 0).sum(axis=1) == 2).all()


def test_a_model_without_words_is_an_error(data: Path, tmp_path: Path) -> None:
    weights = {"context": 1.0, "shared": 0.0, "local": 0.0}
    model = Bundle.load(write_tiny_bundle(tmp_path / "bundle", weights=weights))
    with pytest.raises(ConfigError, match="has no local level"):
        measure(model, mosaics(data, [0, 1, 2, 3]))


def test_a_missing_photo_is_an_error(data: Path) -> None:
    (data / "images" / "2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png"):
        mosaics(data, [0, 1, 2, 3])


def test_the_picture_has_a_row_for_each_mosaic(data: Path, bundle: Bundle) -> None:
    one, two = (draw_sheet(bundle, mosaics(data, *[[0, 1, 2, 3]] * n)) for n in (1, 2))
    assert one.width == two.width and two.height > 1.9 * one.height
    # The mosaic itself is in the first column: its first quarter is red.
    red = np.asarray(one.crop((40, 80, 160, 180)), np.float64).mean((0, 1))
    assert np.abs(red - COLOURS["red"]).max() < 15


@pytest.mark.slow
def test_the_script_prints_both_figures(data: Path, bundle: Bundle, tmp_path: Path) -> None:
    picture = tmp_path / "sheet.png"
    command = [sys.executable, SCRIPT, bundle.folder, "--captions", data / "captions.jsonl",
               "--photos", data / "images", "--number", "3", "--picture", picture]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, figures, share, last = done.stdout.splitlines()
    assert first.startswith("3 mosaics of ") and first.endswith("test split, seed 0; chance 25 %")
    assert figures.startswith(f"{bundle.folder}: whole captions ") and ", content words " in figures
    assert share.endswith(" % of the content words are sure")
    assert last == f"picture: {picture}"
    with Image.open(picture) as sheet:
        assert sheet.format == "PNG"
    own = [*command[:2], *command[3:7], *command[9:], "--baseline"]  # all photos: three mosaics
    same = subprocess.run(own, capture_output=True, text=True)
    assert same.returncode == 0, same.stderr
    again, one, own_share, other, other_share, difference, _ = same.stdout.splitlines()
    assert again == first
    assert own_share == other_share
    assert one == other and one.startswith("the bundle of hgan: ")
    assert difference == (
        "difference: whole captions +0.0 % [+0.0, +0.0], content words +0.0 % [+0.0, +0.0], "
        "sure words +0.0 % [+0.0, +0.0]"
    )
    many = subprocess.run([*command, "--number", "4"], capture_output=True, text=True)
    assert many.returncode == 1
    assert many.stderr.startswith("pointing: 4 mosaics: 12 photos are enough for 3;")
