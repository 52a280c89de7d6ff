"""The verb `search`: what is printed for conditions alone."""

import json
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.index.indexer import index_folder
from hgan.runtime.bundle import Bundle
from hgan.search.searcher import open_index
from tests.fixtures.photos import save_photo


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    folder = tmp_path_factory.mktemp("conditions")
    for number in range(4):
        save_photo(folder / f"photos/{number % 2}/{number}.png", (60 * number, 9, 9), seed=number)
    index_folder(folder / "photos", folder / "index", bundle)
    return folder / "index"


def test_conditions_alone_list_the_newest(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_index(index) as opened:
        expected = [str(photo.path) for photo in opened.browse("folder=1")]
    assert main(["search", "folder:1", "--index", str(index), "--files"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == expected
    assert err == "hgan: folder 1\n"
    assert main(["search", "folder:1", "--index", str(index), "--json", "-k", "1"]) == 0
    [hit] = json.loads(capsys.readouterr().out)
    assert (hit["path"], hit["score"], hit["levels"]) == (expected[0], 0.0, {})


@pytest.mark.parametrize("option", [["--min-score", "0.1"], ["--candidates", "5"]])
def test_options_of_a_ranking_need_words(
    index: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "folder:1", "--index", str(index), *option]) == 2
    assert f"{option[0]}" in capsys.readouterr().err
