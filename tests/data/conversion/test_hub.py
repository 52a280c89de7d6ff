"""Data sets of the Hugging Face hub are downloaded as tables, and converted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hgan.data.conversion.convert import convert
from hgan.errors import DataError
from tests.fixtures.hub import hub_of
from tests.fixtures.hub_tables import coco, content, flickr30k, write_parquet


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[list[str]]:
    """Three data sets: with Parquet files, as a script, and with configurations."""
    root = tmp_path / "repositories"
    write_parquet(root / "plain/data/train-00000-of-00001.parquet", flickr30k([0, 1]))
    (root / "plain/README.md").write_text("# Photos")
    (root / "plain/secret.pkl").write_bytes(b"not asked for")
    (root / "script").mkdir()
    (root / "script/script.py").write_text("raise SystemExit('was run')")
    write_parquet(root / "converted/TEST/test/0000.parquet", flickr30k([2]))
    write_parquet(root / "several/2014/train/0000.parquet", coco([0]))
    write_parquet(root / "several/2014/partial-test/0000.parquet", coco([1]))
    write_parquet(root / "several/2017/train/0000.parquet", coco([2]))
    repositories = {
        "datasets/someone/plain": {"main": root / "plain"},
        "datasets/someone/script": {
            "main": root / "script",
            "refs/convert/parquet": root / "converted",
        },
        "datasets/someone/several": {"main": root / "several"},
        "datasets/someone/empty": {"main": root / "script"},
    }
    with hub_of(repositories, tmp_path / "cache") as asked:
        yield asked


def test_a_data_set_on_the_hub(
    hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path("hf-dataset:someone/plain")
    convert(source, tmp_path / "made")
    assert [line["split"] for line in content(tmp_path / "made")] == ["train", "val"]
    assert not [path for path in hub if path.endswith((".pkl", ".md"))]
    hub.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    convert(source, tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "made") and hub == []


def test_a_data_set_that_is_a_script_is_not_run(
    hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(Path("hf-dataset:someone/script"), tmp_path / "made")
    assert [line["image"] for line in content(tmp_path / "made")] == ["1000092792.jpg"]
    assert not [path for path in hub if path.endswith(".py")]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    convert(Path("hf-dataset:someone/script"), tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "made")


def test_configurations(hub: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "hf-dataset:someone/several"
    with pytest.raises(DataError, match=r"name one of its configurations \(2014, 2017\), as in"):
        convert(Path(source), tmp_path / "made")
    with pytest.raises(DataError, match=r"name one of its configurations \(2014, 2017\)"):
        convert(Path(source + "/2016"), tmp_path / "made")
    convert(Path(source + "/2017"), tmp_path / "made")
    assert len(content(tmp_path / "made")) == 1
    assert not [path for path in hub if "/2014/" in path]
    assert "only the first part" not in capsys.readouterr().err
    convert(Path(source + "/2014"), tmp_path / "other")
    assert len(content(tmp_path / "other")) == 2
    assert "the hub has converted only the first part" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", r"someone/empty: has no Parquet files on the hub; download it in its own form"),
        ("missing", r"neither a folder here nor a data set on the Hugging Face hub"),
        ("..", r"write hf-dataset:ORGANISATION/NAME, as in hf-dataset:nlphuji/flickr30k"),
    ],
)
def test_data_sets_that_are_not_there(
    hub: list[str], tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        convert(Path(f"hf-dataset:someone/{name}"), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_hub_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"hub cannot be reached .* not all files of this data set"):
        convert(Path("hf-dataset:someone/plain"), tmp_path / "made")
