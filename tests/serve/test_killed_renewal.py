"""A service that is killed while it goes over to a new generation: the rebuild finishes it."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hgan.index.indexer import IndexReport, index_folder
from hgan.index.rebuild import rebuild_index
from hgan.index.store.folder import read_manifest
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.fixtures.service_process import serving
from tests.fixtures.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.slow

KILLED = """
import os, signal
import hgan.serve.app, hgan.index.rebuild_folder as rebuild_folder, hgan.serve.renewal as renewal
function = {module}.{name}
def killed(*given):
    if {after}:
        function(*given)
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{name} = killed
"""


@pytest.mark.parametrize(
    ("module", "name", "after"),
    [
        ("rebuild_folder", "carry_tags", True),
        ("rebuild_folder", "use_generation", False),
        ("rebuild_folder", "use_generation", True),
        ("renewal", "tidy", False),
    ],
)
def test_one_index_is_left(
    photos: Path, tmp_path: Path, bundle: Bundle, module: str, name: str, after: bool
) -> None:
    index, other = tmp_path / "index", Bundle.load(write_tiny_bundle(tmp_path / "other", seed=1))
    index_folder(photos, index, bundle)
    before = KILLED.format(module=module, name=name, after=after)
    with serving(index, before=before) as (process, _), ThreadPoolExecutor(1) as pool:
        rebuilding = pool.submit(rebuild_index, index, other)
        assert process.wait(120) == -signal.SIGKILL
        assert rebuilding.result(120).report == IndexReport(added=12)
    assert read_manifest(index).bundle == other.id
    with open_index(index) as opened:
        assert len(opened.search("red", 20)) == 12
    assert {path.name for path in index.iterdir()} == {
        "generation-1", "index.json", "lock", "rebuild", "secret", "service.json",
    }  # fmt: skip
