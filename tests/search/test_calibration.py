"""The calibration: its quantities compared with a loop, its file, and damaged files."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import BundleError
from hgan.search.calibration import (
    FAIR,
    FILE,
    QUANTITIES,
    STRONG,
    Background,
    Calibration,
    Candidates,
    Regression,
    grade,
    quantities,
)

WIDTH, N = 6, len(QUANTITIES)


def some(seed: int, texts: int = 5) -> Calibration:
    rng = np.random.default_rng(seed)
    background = Background(rng.normal(size=(texts, WIDTH)), rng.normal(size=(texts + 2, WIDTH)))
    regression = Regression(
        rng.normal(size=N), rng.uniform(0.5, 2, N), np.array(0.3), rng.normal(size=N),
        np.triu(rng.normal(size=(N, N))),
    )  # fmt: skip
    return Calibration(
        "abc",
        Background(*(array.astype(np.float32) for array in background)),
        Regression(*(np.asarray(array, np.float32) for array in regression)),
        ("dog", "snow"),
    )


def naive(text, words, candidates, background):
    rows = []
    for photo, score in zip(candidates.photos, candidates.scores, strict=True):
        cosine = float(photo @ text)
        near, above, beyond = [], [], []
        for texts in background:
            to_text = sorted((float(other @ text) for other in texts), reverse=True)
            near += [sum(to_text[:3]) / len(to_text[:3]), sum(to_text) / len(to_text)]
            to_photo = sorted((float(other @ photo) for other in texts), reverse=True)
            mean = sum(to_photo) / len(to_photo)
            spread = math.sqrt(sum((x - mean) ** 2 for x in to_photo) / len(to_photo))
            above.append((cosine - mean) / max(spread, 1e-6))
            beyond.append(cosine - to_photo[:3][-1])
        usual = [float(other @ text) for other in candidates.sample]
        mean = sum(usual) / len(usual)
        spread = math.sqrt(sum((x - mean) ** 2 for x in usual) / len(usual))
        rows.append(
            [*near, *above, *beyond, mean, spread, (cosine - mean) / max(spread, 1e-6),
             score - candidates.best, math.log(1 + words)]
        )  # fmt: skip
    return np.array(rows)


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 6), st.integers(0, 30))
def test_quantities_are_those_of_a_loop(seed, hits, texts, words):
    rng = np.random.default_rng(seed)
    candidates = Candidates(
        rng.normal(size=(hits, WIDTH)), rng.normal(size=hits), 0.2, rng.normal(size=(7, WIDTH))
    )
    background = some(seed, texts).background
    text = rng.normal(size=WIDTH)
    found = quantities(text, words, candidates, background)
    assert found.shape == (hits, N)
    expected = naive(text, words, candidates, background)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


@given(st.integers(0, 2**31))
def test_relevance_is_the_logistic_of_the_quadratic_form(seed):
    rng = np.random.default_rng(seed)
    regression = some(seed).regression
    measured = rng.normal(size=(3, N)) * 3
    for row, relevance in zip(measured, regression.relevance(measured), strict=True):
        x = [max(-4, min(4, (row[i] - regression.mean[i]) / regression.scale[i])) for i in range(N)]
        z = float(regression.offset) + sum(x[i] * regression.linear[i] for i in range(N))
        z += sum(x[i] * regression.products[i, j] * x[j] for i in range(N) for j in range(N))
        expected = 1 / (1 + math.exp(-max(-30, min(30, z))))
        assert relevance == pytest.approx(expected, abs=1e-4)


def test_words_for_relevance():
    assert [grade(value) for value in (1.0, STRONG, 0.89, FAIR, 0.49, 0.0)] == [
        "strong", "strong", "fair", "fair", "weak", "weak",
    ]  # fmt: skip


def test_a_file_is_what_was_saved(tmp_path):
    saved = some(3)
    saved.save(tmp_path)
    loaded = Calibration.load(tmp_path, "abc", WIDTH)
    assert loaded is not None and loaded.vocabulary == saved.vocabulary
    for one, other in zip(saved.background, loaded.background, strict=True):
        assert one == pytest.approx(other, abs=5e-3)  # float16
    for one, other in zip(saved.regression, loaded.regression, strict=True):
        assert np.array_equal(one, other)


def test_no_file_and_the_file_of_another_bundle_are_no_calibration(tmp_path):
    assert Calibration.load(tmp_path, "abc", WIDTH) is None
    some(0).save(tmp_path)
    assert Calibration.load(tmp_path, "other", WIDTH) is None


def damaged(folder, how: str) -> None:
    """Write a file that is damaged in one way."""
    some(0).save(folder)
    path = folder / FILE
    arrays = dict(np.load(path))
    match how:
        case "half of it":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            return
        case "text":
            path.write_text("not a calibration")
            return
        case "a field is missing":
            del arrays["linear"]
        case "another width":
            arrays["captions"] = arrays["captions"][:, :3]
        case "no captions":
            arrays["captions"] = arrays["captions"][:0]
        case "not finite":
            arrays["products"][0, 0] = np.nan
        case "no scale":
            arrays["scale"][2] = 0
        case "an object":
            arrays["linear"] = np.array([{}] * N, object)
        case "integers":
            arrays["mean"] = np.arange(N)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "how",
    ["half of it", "text", "a field is missing", "another width", "no captions", "not finite",
     "no scale", "an object", "integers"],
)  # fmt: skip
def test_damage_is_an_error_that_names_the_file(tmp_path, how):
    damaged(tmp_path, how)
    with pytest.raises(BundleError, match=r"calibration\.npz: not a calibration .*hgan calibrate"):
        Calibration.load(tmp_path, "abc", WIDTH)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path):
    arrays = {name: array for name, array in np.load(_saved(tmp_path)).items()}
    arrays["phrases"] = np.zeros((3_000_000, WIDTH), np.float32)
    np.savez_compressed(tmp_path / FILE, **arrays)
    assert (tmp_path / FILE).stat().st_size < 2**20
    with pytest.raises(BundleError, match="larger than"):
        Calibration.load(tmp_path, "abc", WIDTH)


def _saved(folder):
    some(0).save(folder)
    return folder / FILE
