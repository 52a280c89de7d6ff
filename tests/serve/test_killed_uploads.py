"""A service that is killed in the middle of an upload: nothing of it is left."""

import shutil
import signal
from pathlib import Path

import httpx
import pytest

from hgan.index.indexer import IndexReport, index_folder
from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.service_process import KEY, serving

KILLED = """
import os, signal
from hgan.index.writer import IndexWriter
add = IndexWriter.add
def killed(*given):
    {first}
    os.kill(os.getpid(), signal.SIGKILL)
IndexWriter.add = killed
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [pytest.param("pass", id="not indexed"),
     pytest.param("add(*given)", id="indexed")],
)  # fmt: skip
def test_nothing_is_left_of_an_upload(
    photos: Path, tmp_path: Path, bundle: Bundle, first: str
) -> None:
    """The process ends after the file was written under a temporary name, before it is renamed."""
    folder, to = tmp_path / "own", tmp_path / "index"
    shutil.copytree(photos, folder)
    index_folder(folder, to, bundle)
    new = save_photo(tmp_path / "new.png", COLOURS["red"], seed=77).read_bytes()
    headers = {"X-API-Key": KEY}

    def upload(url: str, path: str) -> int:
        asked = {"files": {"photo": new}, "data": {"path": path}, "headers": headers}
        return httpx.post(f"{url}/v1/items", timeout=60, **asked).status_code

    with serving(to, before=KILLED.format(first=first)) as (process, url):
        with pytest.raises(httpx.HTTPError):
            upload(url, "new.png")
        assert process.wait(60) == -signal.SIGKILL
    [left] = folder.glob(".*")
    assert left.name.endswith(".tmp")
    assert not (folder / "new.png").exists()
    # The next upload into the folder removes what was left.
    with serving(to) as (_, url):
        assert upload(url, "other.png") == 201
    assert list(folder.glob(".*")) == []
    expected = IndexReport(removed=first != "pass", unchanged=13)
    assert index_folder(folder, to, bundle) == expected
