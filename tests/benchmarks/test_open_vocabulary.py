"""The open-vocabulary benchmark, with a tiny bundle that finds photos by their colour."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.open_vocabulary import (
    ANSWERS,
    DEMO,
    find_samples,
    measure,
    print_answers,
    search_samples,
)
from hgan.data.captions.read import read_captions
from hgan.errors import DataError, HganError
from hgan.evaluation.metrics import metrics
from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "open_vocabulary.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve photos of three colours, with two captions each."""
    with (tmp_path / "captions.jsonl").open("w") as file:
        for number in range(12):
            colour = list(COLOURS)[number % 3]
            name = f"{number}.png"
            save_photo(tmp_path / "images" / name, COLOURS[colour], number)
            captions = [f"a {colour} photo", f"{colour} {'bcdefghijklm'[number]}"]
            file.write(json.dumps({"image": name, "captions": captions, "split": "val"}) + "\n")
    return tmp_path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Photos with the names of the demo's: the cat is red, the rocket green, all others blue."""
    colours = {"chelsea.png": "red", "rocket.jpg": "green"}
    for number, name in enumerate(DEMO["SAMPLES"]):
        save_photo(tmp_path / "samples" / name, COLOURS[colours.get(name, "blue")], number)
    return tmp_path / "samples"


def test_every_example_query_of_the_demo_has_one_answer() -> None:
    assert list(ANSWERS) == list(DEMO["SAMPLE_QUERIES"])
    assert set(ANSWERS.values()) <= set(DEMO["SAMPLES"])
    assert len(set(ANSWERS.values())) == len(ANSWERS)


def test_ranks_are_those_of_the_whole_matrix(data: Path, bundle: Bundle) -> None:
    captions = read_captions(data / "captions.jsonl")
    found = measure(bundle, captions, data / "images")
    photos = bundle.encode_image([data / "images" / name for name in captions.images])
    scores = bundle.similarity(photos, bundle.encode_text(captions.texts))
    for text, photo in enumerate(captions.image_of):
        others = np.delete(scores[:, text], photo)
        assert found.ranks.text_to_image[text] == (others >= scores[photo, text]).sum()
    for photo, own in enumerate(captions.of_image()):
        others = np.delete(scores[photo], own)
        assert found.ranks.image_to_text[photo] == (others >= scores[photo, own].max()).sum()
    assert 0 < metrics(found.ranks).rsum < 600


def test_the_right_photo_is_counted(
    samples: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    found = search_samples(bundle, find_samples(samples, samples))
    assert list(found) == list(ANSWERS) and set(found.values()) <= set(DEMO["SAMPLES"])
    assert ANSWERS["a red motorcycle in a garage"] != "chelsea.png"
    assert found["a red motorcycle in a garage"] == "chelsea.png"  # the only red photo
    print_answers(ANSWERS | {"a cat looking at the camera": "moon.png"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  a cat looking at the camera: moon.png, wrong, not chelsea.png"
    assert lines[1].endswith("coffee.png, right") and lines[-1] == "  5 of 6 right"


def test_missing_photos_are_errors(data: Path, samples: Path, bundle: Bundle) -> None:
    (samples / "moon.png").unlink()
    with pytest.raises(HganError, match=r"samples: has no moon\.png"):
        find_samples(samples, samples)
    (data / "images" / "3.png").unlink()
    with pytest.raises(DataError, match=r"3\.png"):
        measure(bundle, read_captions(data / "captions.jsonl"), data / "images")


@pytest.mark.slow
def test_the_script_compares_with_the_bundle_of_hgan(
    data: Path, samples: Path, bundle: Bundle
) -> None:
    command = [sys.executable, SCRIPT, bundle.folder, "--captions", data / "captions.jsonl",
               "--photos", data / "images", "--samples", samples]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("12 photos, 24 captions of ")
    rsums = [float(line.partition("rSum ")[2].split(",")[0]) for line in lines[1:3]]
    change, low, high = (
        float(word.strip("[],")) for word in lines[3].removeprefix("difference: rSum ").split()
    )
    assert change == pytest.approx(rsums[0] - rsums[1], abs=0.11) and low <= change <= high
    assert [line for line in lines if line.startswith("example queries")] == [
        f"example queries, {bundle.folder}:",
        "example queries, the bundle of hgan:",
    ]
    assert sum(line.endswith(" of 6 right") for line in lines) == 2
    broken = subprocess.run([*command, "--split", "test"], capture_output=True, text=True)
    assert broken.returncode == 1
    assert broken.stderr.startswith("open_vocabulary: no photo is in split 'test'")
