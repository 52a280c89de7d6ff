"""The record of a run: its content, where it is written, and what is kept of an earlier one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hgan.cli.evaluate import tables
from hgan.data.captions.read import read_captions
from hgan.errors import ConfigError, DataError
from hgan.evaluation import protocols
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.evaluation.evaluate import evaluate
from hgan.files import jsonable, write_json
from hgan.model.io import load_checkpoint
from hgan.training.config import Config
from tests.fixtures.tiny_model import tiny_config, tiny_dataset, tiny_model, write_tiny_data

FACTS = {"seed": 3, "epoch": "8 of 12", "rSum on val": {"context": 200.0, "S": 312.5}}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Of a data set with fifteen test photos; folds have three."""
    monkeypatch.setattr(protocols, "FOLD_PHOTOS", 3)
    write_tiny_data(tmp_path, train=4, val=4, test=15)
    return tiny_config(tmp_path)


def write_run(config: Config, folder: Path, weights_seed: int = 0, **facts: Any) -> Path:
    """A run's folder with settings and best checkpoint, its model at random."""
    model = tiny_model(config, weights_seed)
    model.facts = FACTS | facts
    model.save_pretrained(folder / "best")
    write_json(folder / "config.json", {"data": jsonable(vars(config.data))})
    return folder / "best"


@pytest.fixture
def best(config: Config, tmp_path: Path) -> Path:
    return write_run(config, tmp_path / "run" / "seed3")


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def shown(record: dict[str, Any], names: list[str]) -> str:
    """As in a narrow window."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*tables(record, names))
    return " ".join(capture.get().split())


def test_the_folder_of_a_run_stands_for_its_best_checkpoint(config: Config, best: Path) -> None:
    record = evaluate_checkpoints([best.parent], "test")
    assert record["checkpoint"] == str(best) and read(best.parent / "test.json") == record
    empty = best.parents[1] / "seed5"
    empty.mkdir()
    write_json(empty / "config.json", config.as_dict())  # as in the first epoch
    with pytest.raises(DataError, match=r"seed5: no checkpoint here .* after its first epoch"):
        evaluate_checkpoints([empty], "test")
    write_run(config, best.parents[1] / "seed4", 1)
    with pytest.raises(DataError, match=r"run: contains 2 runs, .* name one of .*seed3, .*seed4"):
        evaluate_checkpoints([best.parents[1]], "test")


def test_it_says_what_the_figures_belong_to(config: Config, best: Path) -> None:
    record = evaluate_checkpoints([best], "test")
    assert read(best.parent / "test.json") == record
    texts = len(read_captions(config.data.captions).split("test").texts)
    expected = {
        "format_version": 1,
        "model": "hgan",
        "seed": 3,
        "epoch": "8 of 12",
        "checkpoint": str(best),
        "ensemble": None,
        "captions": str(config.data.captions),
        "split": "test",
        "photos": 15,
        "texts": texts,
        "ties": "count against the model",
        "val_rsum": 312.5,
    }
    assert {name: record[name] for name in expected} == expected
    assert record["weights"] == pytest.approx(dict.fromkeys(("context", "shared", "local"), 1 / 3))
    assert record["cost"]["microseconds_per_pair"] > 0 and record["cost"]["pairs"] > 100_000
    assert record["cost"]["bytes_per_image"] == 2 * (24 + 2 * 8 + 4 * 8)
    model = load_checkpoint(best)
    found = evaluate(model.network, tiny_dataset(config, model, "test"))
    assert record["protocols"] == {"full": {name: m.as_dict() for name, m in found.items()}}


def test_one_path_or_several(best: Path, tmp_path: Path) -> None:
    cost = {"cost": None}
    one = evaluate_checkpoints(str(best), out=str(tmp_path))
    assert one | cost == evaluate_checkpoints([best], protocols=["full"], out=tmp_path) | cost
    with pytest.raises(ConfigError, match="no checkpoint is given"):
        evaluate_checkpoints([])


def test_it_holds_ranks_and_best_candidates_of_every_query(best: Path) -> None:
    record = evaluate_checkpoints([best], "test")
    with np.load(best.parent / "test.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    assert all(array.dtype == np.int32 for array in arrays.values())
    for level, figures in record["protocols"]["full"].items():
        for way, count in (("image_to_text", 15), ("text_to_image", record["texts"])):
            ranks = arrays.pop(f"{way}/{level}")
            assert ranks.shape == (count,)
            assert figures[way]["recall"]["R@5"] == pytest.approx(100 * np.mean(ranks < 5))
            assert figures[way]["mean_rank"] == pytest.approx(ranks.mean() + 1)
            if (way, level) == ("text_to_image", "S"):
                final = ranks
    image_of = read_captions(Path(record["captions"])).split("test").image_of
    assert set(arrays) == {"top_texts", "top_images"}
    assert arrays["top_texts"].shape == (15, 5)
    assert arrays["top_images"].shape == (record["texts"], 5)
    inside = final < 5
    right = arrays["top_images"] == image_of[:, None]
    assert np.array_equal(right.any(1), inside)
    assert np.array_equal(right.argmax(1)[inside], final[inside])


def test_a_later_protocol_joins_the_record(best: Path) -> None:
    evaluate_checkpoints([best], "test")
    folded = evaluate_checkpoints([best], "test", ["coco-1k"])
    assert list(folded["protocols"]) == ["full", "coco-1k"]
    again = evaluate_checkpoints([best], "test", ["full"])
    assert again["protocols"] == folded["protocols"]
    assert read(best.parent / "test.json") == again
    assert list(evaluate_checkpoints([best], "val")["protocols"]) == ["full"]


@pytest.mark.parametrize("damage", ["another model", "broken file"])
def test_protocols_of_another_model_do_not(damage: str, config: Config, best: Path) -> None:
    evaluate_checkpoints([best], "test", ["coco-1k"])
    if damage == "another model":
        write_run(config, best.parent, epoch="9 of 12")
    else:
        (best.parent / "test.json").write_text('{"protocols": ')
    record = evaluate_checkpoints([best], "test")
    assert list(record["protocols"]) == ["full"]
    assert read(best.parent / "test.json") == record


def test_foreign_captions_leave_the_runs_record_alone(
    config: Config, best: Path, tmp_path: Path
) -> None:
    own = evaluate_checkpoints([best], "test")
    lines = config.data.captions.read_text().splitlines()
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("\n".join(lines[:-2]) + "\n")
    record = evaluate_checkpoints([best], "test", captions=fewer)
    assert record["photos"] == 13
    assert read(best.parent / "test.json") == own
    evaluate_checkpoints([best], "test", captions=fewer, out=tmp_path / "out")
    assert read(tmp_path / "out" / "test.json")["captions"] == str(fewer)
    assert (tmp_path / "out" / "test.npz").is_file()


def test_an_ensemble_is_called_one_everywhere(config: Config, best: Path, tmp_path: Path) -> None:
    other = write_run(config, tmp_path / "other" / "seed4", weights_seed=1, seed=4)
    out = tmp_path / "both"
    record = evaluate_checkpoints([best, other], "test", ["full", "coco-1k"], out=out)
    assert record["ensemble"] == [str(best), str(other)]
    assert (record["seed"], record["val_rsum"], record["weights"]) == (None, None, {})
    assert list(record["protocols"]["full"]) == list(record["protocols"]["coco-1k"]) == ["S"]
    assert read(out / "test.json") == record
    assert not (best.parent / "test.json").exists()
    table = shown(record, ["full", "coco-1k"])
    assert table.count("ensemble of 2 (") == 2
    assert table.count("S = the mean of the models' scores") == 2
    single = evaluate_checkpoints([best], "test")
    assert "ensemble of" not in shown(single, ["full"])
    assert single["protocols"]["full"]["S"] != record["protocols"]["full"]["S"]


def test_an_ensemble_needs_the_same_captions(config: Config, best: Path, tmp_path: Path) -> None:
    lines = config.data.captions.read_text().splitlines()
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("\n".join(lines[:-2]) + "\n")
    data = replace(config.data, captions=fewer)
    other = write_run(replace(config, data=data), tmp_path / "other" / "seed4")
    with pytest.raises(DataError, match=r"fewer.jsonl: its split differs from .*captions.jsonl"):
        evaluate_checkpoints([best, other], "test")


def test_every_table_names_what_it_shows(best: Path) -> None:
    record = evaluate_checkpoints([best], "test", ["full", "coco-1k"])
    figures = {"R@1": 12.25, "R-P": 34.5, "mAP@R": 56.75}
    both = {"image_to_text": figures, "text_to_image": {"R@1": 1.5, "R-P": 2.5, "mAP@R": 3.5}}
    record["protocols"]["eccv"] = {"S": both}
    record["protocols"]["full"]["S"]["tied"] = 77
    for name, meaning, ties in (
        ("full", "all photos and captions of the split", "ties count against the model"),
        ("coco-1k", "mean over five folds of 1,000 photos", "ties count against the model"),
        ("eccv", "correct answers of ECCV Caption", "ties broken by position (77 queries)"),
    ):
        table = shown(record, [name])
        for word in (
            f"{best}: test split, protocol {name}",
            meaning,
            ties,
            "seed 3, epoch 8 of 12",
            f"15 photos, {record['texts']} captions of {record['captions']}",
            "hgan",
        ):
            assert word.replace(" ", "") in table.replace(" ", "")  # long lines are broken
    rows = shown(record, ["eccv"])
    assert "S image to text 12.2 34.5 56.8" in rows and "text to image 1.5 2.5 3.5" in rows
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*tables(record, ["full", "coco-1k"]))
    assert " 77 " in capture.get() and "…" not in capture.get()  # nothing is cut
