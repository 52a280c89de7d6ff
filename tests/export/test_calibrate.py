"""Fitting a calibration: to made-up photos of colours, and to examples whose answer is known."""

import json

import numpy as np
import pytest

from hgan.cli import main
from hgan.errors import ConfigError, DataError
from hgan.export import calibrate as module
from hgan.export.calibrate import calibrate
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.search.calibration import FAIR, QUANTITIES, STRONG, Calibration
from hgan.search.searcher import open_index
from tests.fixtures.photos import save_photo
from tests.fixtures.tiny_bundle import COLOURS, write_tiny_bundle

N = len(QUANTITIES)


def write_collection(folder, colours, photos_each=8, splits=("train", "val")):
    rows = []
    rng = np.random.default_rng(1)
    for colour in colours:
        for number in range(photos_each):
            name = f"{colour}{number}.png"
            rgb = np.clip(128 + 120 * np.array(COLOURS[colour]) + rng.normal(size=3) * 9, 0, 255)
            save_photo(folder / "images" / name, tuple(int(value) for value in rgb), seed=number)
            captions = [f"a {colour} photo .", f"two {colour} dogs .", f"the {colour} snow ."]
            split = splits[number % len(splits)]
            rows.append({"image": name, "captions": captions, "split": split})
    file = folder / "captions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def bundle(tmp_path):
    return Bundle.load(write_tiny_bundle(tmp_path / "bundle"))


def test_calibrate_and_search(tmp_path, bundle, capsys):
    captions = write_collection(tmp_path / "data", ("red", "green", "white"))
    assert main(["calibrate", str(bundle.folder), "--captions", str(captions)]) == 0
    table = capsys.readouterr().out
    assert "kept" in table and "caught" in table
    loaded = Calibration.load(bundle.folder, bundle.id, bundle.widths["context"])
    assert loaded.vocabulary[:1] and set(loaded.vocabulary) >= {"red", "dogs", "snow"}
    index_folder(tmp_path / "data" / "images", tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        assert index.search("a red photo", k=1)[0].relevance >= FAIR


def test_two_collections_are_judged_alone_and_together(tmp_path, bundle):
    sources = [
        (write_collection(tmp_path / name, colours), tmp_path / name / "images")
        for name, colours in (("one", ("red", "green")), ("two", ("blue", "black")))
    ]
    calibration, found = calibrate(bundle, sources)
    assert [row.photos for row in found] == [8, 8, 16]
    assert found[-1].collection == "all together"
    assert all(0 <= share <= 1 for row in found for share in (row.kept, row.caught))
    again, _ = calibrate(bundle, sources)
    for one, other in zip(calibration.regression, again.regression, strict=True):
        assert np.array_equal(one, other)


def test_bad_input_is_refused(tmp_path, bundle, capsys):
    captions = write_collection(tmp_path / "data", ("red",), splits=("train",))
    with pytest.raises(DataError, match="no photo is in split 'val'"):
        calibrate(bundle, [(captions, tmp_path / "data" / "images")])
    few = write_collection(tmp_path / "few", ("red",), photos_each=4)
    with pytest.raises(ConfigError, match="too few to calibrate"):
        calibrate(bundle, [(few, tmp_path / "few" / "images")])
    local = write_tiny_bundle(tmp_path / "l", weights={"context": 0, "shared": 0, "local": 1})
    with pytest.raises(ConfigError, match="level context"):
        calibrate(Bundle.load(local), [(few, tmp_path / "few" / "images")])
    arguments = ["--captions", str(few), "--photos", "a", "--photos", "b"]
    assert main(["calibrate", str(bundle.folder), *arguments]) == 2
    assert "1 caption files, but 2 folders" in capsys.readouterr().err
    assert not (bundle.folder / "calibration.npz").exists()


def examples(seed: int, n: int = 600) -> module._Examples:
    rng = np.random.default_rng(seed)
    measured = rng.normal(size=(n, N)).astype(np.float32)
    # The answer depends on one quantity, and on the product of two.
    right = measured[:, 0] + measured[:, 1] * measured[:, 2] > 0.3 * rng.normal(size=n)
    return module._Examples(measured, right, np.arange(n), np.zeros(n, int))


def test_the_regression_finds_a_quantity_and_a_product():
    known, new = examples(0), examples(1)
    held_out = module._held_out(known, np.random.default_rng(0))
    thresholds = module._thresholds(held_out, known.right)
    fitted = module._scaled(module._fit(known, np.ones(len(known.right), bool)), *thresholds)
    found = fitted.relevance(new.measured)
    assert (found[new.right] >= FAIR).mean() == pytest.approx(module.KEPT, abs=0.04)
    assert (found[~new.right] < STRONG).mean() == pytest.approx(module.KEPT, abs=0.04)
    assert (found[~new.right] < FAIR).mean() > 0.6


def test_newton_finds_the_minimum():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 3)), rng.uniform(0.5, 2, 80)
    y = x[:, 0] + 0.5 * rng.normal(size=80) > 0

    def loss(theta):
        margins = np.where(y, 1, -1) * (x @ theta[1:] + theta[0])
        penalty = module.RIDGE * weights.sum() * (theta[1:] ** 2).sum() / 2
        return (weights * np.log1p(np.exp(-margins))).sum() + penalty

    offset, coefficients = module._regress(x, y, weights)
    best = np.array([offset, *coefficients])
    for step in rng.normal(size=(50, 4)) * 1e-2:
        assert loss(best + step) > loss(best)


def test_each_text_collection_and_kind_counts_the_same():
    right = np.array([True, True, True, False, True, False])
    texts, collection = np.array([0, 0, 1, 2, 3, 4]), np.array([0, 0, 0, 0, 1, 1])
    known = module._Examples(np.zeros((6, N)), right, texts, collection)
    weights = module._weights(known, np.ones(6, bool))
    assert weights.sum() == pytest.approx(6)
    assert weights[:2].sum() == pytest.approx(weights[2])  # two hits of one text, one of another
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4] == pytest.approx(weights[5]) == pytest.approx(weights[3])
