"""Indexes of fewer regions per photo: scores compared with plain loops, and the stored setting."""

import numpy as np
import pytest

from hgan.cli import main
from hgan.errors import ConfigError, IndexingError
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.store.open import read_manifest
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.region_grid import pooled
from hgan.runtime.similarity import score_levels
from hgan.search.query import Query
from hgan.search.searcher import open_index
from tests.fixtures.photos import save_photo
from tests.fixtures.tiny_bundle import SIZE

HALF = 3e-3


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_scores_are_those_of_fewer_regions(photos, tmp_path, bundle, quantize):
    index_folder(photos, tmp_path / "index", bundle, quantize, regions=1)
    small = pooled(bundle, 1)
    paths = sorted(photos.rglob("*.png"))
    encoded = small.encode_images([Preprocessing(SIZE).pixels(open_photo(path)) for path in paths])
    query = bundle.encode_texts(["a red photo"])
    expected = score_levels(encoded, query, bundle.config.weights).total[:, 0]
    with open_index(tmp_path / "index", bundle) as index:
        hits = {hit.path: hit for hit in index.search("a red photo", k=50)}
        alike = {hit.path: hit.score for hit in index.search_image(paths[0], k=50)}
        liked = index.find(Query(like="red 0.png"), 3)
    assert set(hits) == set(paths)
    tolerance = HALF if quantize is None else 0.02
    found = [hits[path].score for path in paths]
    np.testing.assert_allclose(found, expected, atol=tolerance)
    # The photo that is searched with has as few regions as those that are searched.
    assert alike[paths[0]] == pytest.approx(1, abs=tolerance)
    expected = score_levels(
        encoded,
        small.encode_images([Preprocessing(SIZE).pixels(open_photo(paths[0]))]),
        bundle.config.weights,
    ).total[:, 0]
    np.testing.assert_allclose([alike[path] for path in paths], expected, atol=tolerance)
    assert len(liked) == 3


def test_an_index_keeps_its_setting(photos, tmp_path, bundle):
    to = tmp_path / "index"
    index_folder(photos, to, bundle, regions=1)
    assert read_manifest(to).regions == 1
    save_photo(photos / "new.png", (200, 200, 0))
    assert index_folder(photos, to, bundle) == IndexReport(added=1, unchanged=12)
    with open_index(to, bundle) as index:
        stored = index._store.fetch([hit.id for hit in index.search("red", 50)], local=True)
    assert {len(point.local) for point in stored} == {1}
    with pytest.raises(IndexingError, match="made with 1 regions per photo, not with 4"):
        index_folder(photos, to, bundle, regions=4)


def test_a_grid_that_cannot(photos, tmp_path, bundle, capsys):
    with pytest.raises(ConfigError, match="1, 4"):
        index_folder(photos, tmp_path / "index", bundle, regions=3)
    assert not (tmp_path / "index").exists()
    words = ["index", str(photos), "--to", str(tmp_path / "index")]
    assert main([*words, "--bundle", str(bundle.folder), "--regions", "3"]) == 2
    assert "regions cannot be 3" in capsys.readouterr().err


def test_by_command(photos, tmp_path, bundle):
    words = ["index", str(photos), "--to", str(tmp_path / "index"), "--bundle", str(bundle.folder)]
    assert main([*words, "--regions", "1"]) == 0
    assert read_manifest(tmp_path / "index").regions == 1
