"""The verbs that make a model: settings, exit codes, and all verbs in turn on tiny data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
import yaml
from PIL import Image

from hgan.cli import VERBS, main
from hgan.cli.settings import config_of
from hgan.model.baselines.scan import SCANConfig
from hgan.training.losses.hinge import HingeConfig
from tests.fixtures.tiny_model import write_tiny_bert

# --- settings


def settings(verb: str, *words: str) -> Any:
    parser = VERBS[verb].parser(verb)
    return config_of(parser, parser.parse_args(list(words)))


def test_settings_come_from_the_file_then_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    values = {"seed": 7, "optim": {"epochs": 3, "clip": 1}, "model": {"levels": ["context"]}}
    file.write_text(yaml.safe_dump(values))
    config = settings("train", "--config", str(file), "--optim.epochs", "5", "--run", "runs/x")
    assert (config.seed, config.optim.epochs, config.optim.clip) == (7, 5, 1.0)
    assert config.model.levels == ["context"]
    assert config.run == Path("runs/x")
    assert config.vision.backbone == "efficientnet-lite2"
    assert settings("extract", "--config", str(file)).seed == 7


@pytest.mark.parametrize("verb", ["train", "extract"])
@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("optim: {epoch: 3}", [], "run.yaml: optim.epoch is not a setting; did you mean optim.epo"),
        ("sead: 1", [], "run.yaml: sead is not a setting; did you mean seed?"),
        ("optm: {epochs: 3}", [], "run.yaml: optm is not a setting; did you mean optim"),
        ("epochs: 3", [], "run.yaml: epochs is not a setting; did you mean optim.epochs?"),
        ("3: 4", [], "run.yaml: 3 is not a setting\n"),
        ("optim: {epochs: 3", [], "run.yaml: is not YAML: while parsing a flow mapping"),
        ("- 3", [], "run.yaml: has no sections; it needs settings, such as"),
        ("# all of it", [], "run.yaml: is empty; it needs settings"),
        ("optim: [3]", [], "run.yaml: optim: must have keys and values, not [3]"),
        ("optim: {epochs: many}", [], "optim.epochs: must be a whole number, not many"),
        ("optim: {clip: high}", [], "optim.clip: must be a number, not high"),
        ("optim: {precision: half}", [], "optim.precision: must be bf16 or no, not half"),
        ("", ["--optim.epoch=3"], "optim.epoch is not a setting; did you mean optim.epochs?"),
        ("", ["--optim.width", "3"], "optim.width is not a setting; did you mean model.width?"),
        ("", ["--epochs", "3"], "--epochs: unknown option; did you mean --optim.epochs?"),
        ("", ["--sead", "3"], "--sead: unknown option; did you mean --seed?"),
        ("", ["--seed", "x"], "--seed: must be a whole number, not x"),
        ("", ["--set", "optim.epoch=3"], "optim.epoch is not a setting; did you mean optim.epoc"),
        ("", ["--set", "optim.epochs"], "--set optim.epochs: expected KEY=VALUE"),
        ("", ["--set"], "--set : expected KEY=VALUE"),
        ("", ["other.yaml"], "other.yaml: unexpected argument; see `hgan "),
        ("", ["--seed"], "--seed: needs a value"),
    ],
)
def test_settings_that_do_not_exist_or_fit_are_refused_with_what_was_meant(
    verb: str,
    text: str,
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text or "seed: 1")
    assert main([verb, "--config", str(file), *words]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("hgan: ") and shown.count("\n") == 1
    assert message in shown


@pytest.mark.parametrize("verb", ["train", "extract"])
def test_settings_can_be_set_as_in_a_sweep(verb: str) -> None:
    words = ["--set", "optim.epochs=3", "--set=data.captions=a=b.csv", "--set", "seed=4"]
    config = settings(verb, *words, "--set", "model.name=scan", "--set", "model.width=8")
    assert (config.optim.epochs, config.seed) == (3, 4)
    assert config.data.captions == Path("a=b.csv")
    assert config.model == SCANConfig(width=8)


@pytest.mark.parametrize("verb", ["train", "extract"])
@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("loss: {kind: hinge}", [], "run.yaml: loss.kind was renamed to loss.name"),
        ("", ["--loss.kind", "hinge"], "loss.kind was renamed to loss.name"),
        ("loss: {name: mse}", [], "loss.name: 'mse' is unknown; choose one of hinge, infonce"),
        ("model: {name: hgam}", [], "'hgam' is unknown; choose one of hgan, mean, scan, sgraf"),
        ("model: {attention: t2i}", [], "model.attention is a setting of scan, not of hgan"),
        ("model: {name: scan, slots: 3}", [], "model.slots is a setting of hgan, not of scan"),
        ("model: {name: scan}", ["--model.slots=3"], "model.slots is a setting of hgan, not of"),
        ("model: {slotz: 3}", [], "slotz is not a setting of hgan; did you mean model.slots?"),
        ("model: {zzzz: 3}", [], "model.zzzz is not a setting of hgan; it has name, levels"),
        ("loss: {margin: 0.3}", [], "loss.margin is a setting of hinge, not of infonce"),
        ("", ["--plugin", "none.py"], "none.py: no such Python file"),
    ],
)
def test_a_setting_of_another_matcher_or_loss_is_refused_and_says_whose_it_is(
    verb: str,
    text: str,
    words: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text or "seed: 1")
    assert main([verb, "--config", str(file), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_names_another_matcher_keeps_what_both_have(tmp_path: Path) -> None:
    """A data set's file sets HGAN's widths; a baseline's file on top of it takes what it has."""
    first, second = tmp_path / "data_set.yaml", tmp_path / "baseline.yaml"
    first.write_text("model: {width: 96, node_width: 48, dropout: 1e-1}\nseed: 3\n")
    second.write_text("model: {name: scan, attention: i2t}\nloss: {name: hinge}\n")
    config = settings("train", "--config", str(first), f"--config={second}")
    assert config.model == SCANConfig(width=96, dropout=0.1, attention="i2t")
    assert config.loss == HingeConfig() and config.seed == 3
    again = settings("train", "--config", str(first), "--model.name=scan", "--model.width", "8")
    assert again.model == SCANConfig(width=8, dropout=0.1)


def test_the_help_shows_the_settings_of_the_matcher_that_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, has, lacks in (
        (["--model.name", "scan"], "--model.attention", "--model.slots"),
        ([], "--model.slots", "--model.attention"),
        (["--loss.name", "hinge"], "--loss.margin", "--loss.temperature"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["train", *words, "--help"])
        shown = capsys.readouterr().out
        assert stop.value.code == 0 and has in shown and lacks not in shown
        assert "hgan, mean, scan, sgraf, vse++, vse_infinity" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("flag", "value", "least"),
    [
        ("optim.epochs", "0", "at least 1"),
        ("optim.batch_images", "1", "at least 2"),
        ("optim.ema", "1.0", "at least 0 and below 1"),
        ("optim.learning_rate", "0", "above 0"),
        ("model.slots", "0", "at least 1"),
        ("loss.temperature", "0", "at least 0.01"),
        ("vision.views", "-1", "at least 1"),
        ("text.max_words", "2", "at least 3"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_done(
    flag: str, value: str, least: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"--{flag}", value]) == 2
    shown = capsys.readouterr().err
    assert f"{flag}: " in shown and least in shown


def test_a_switch_does_what_it_says() -> None:
    for name in ("image_graph", "text_graph"):
        for word in ("true", "false"):
            model = settings("train", f"--model.{name}", word).model
            assert getattr(model, name) is (word == "true")


def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--optim.epoch", "3"]) == 2
    assert main(["train", "--resum"]) == 2
    assert "--resum: unknown option; did you mean --resume?" in capsys.readouterr().err


def test_settings_that_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--model.mfar", "false"]) == 2
    assert "the shared level needs MFAR" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["extract", "train", "evaluate a", "export a b"])
def test_without_the_training_half(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hgan.cli.settings.find_spec", lambda _: None)
    assert main(name.split()) == 2
    assert "pip install '.[train]'" in capsys.readouterr().err


# --- the verbs that make a model


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A caption file with twelve photos in the same folder."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(5)
    lines = []
    for i in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((96, 72)).save(folder / "images" / f"{i}.jpg")
        captions = [f"a first caption of photo {i}", f"another one for number {i}"]
        split = "train" if i < 6 else "val" if i < 9 else "test"
        lines.append(json.dumps({"image": f"{i}.jpg", "captions": captions, "split": split}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_data_check_tells_by_its_exit_code(
    data_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(data_set)]) == 0
    assert "ready for training" in capsys.readouterr().out
    (data_set / "images" / "3.jpg").unlink()
    assert main(["data", "check", str(data_set / "captions.jsonl"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert any("3.jpg" in case for finding in report["findings"] for case in finding["examples"])
    assert main(["data", "check", str(data_set / "nothing")]) == 2


@pytest.fixture
def data_words(data_set: Path, tmp_path: Path) -> list[str]:
    """Settings for a tiny random ViT and BERT, and the twelve photos."""
    config = hf.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
    )
    torch.manual_seed(0)
    hf.ViTModel(config).save_pretrained(tmp_path / "vit")
    hf.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    settings = {
        "vision.backbone": tmp_path / "vit",
        "vision.grid": 2,
        "vision.views": 2,
        "text.encoder": write_tiny_bert(tmp_path / "bert"),
        "data.captions": data_set / "captions.jsonl",
        "data.photos": data_set / "images",
        "data.features": tmp_path / "features",
    }
    return [word for key, value in settings.items() for word in (f"--{key}", str(value))]


@pytest.mark.slow
def test_extract_writes_a_store_once(
    data_set: Path, data_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_set / "images" / "4.jpg").write_bytes(b"")
    store = tmp_path / "features"
    assert main(["extract", *data_words]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"11 photos, 2 views each, 1 skipped: {store}\n"
    assert "skipped 4.jpg: " in shown.err
    before = (store / "regions.npy").stat().st_mtime_ns
    assert main(["extract", *data_words]) == 0
    assert (store / "regions.npy").stat().st_mtime_ns == before
    capsys.readouterr()
    main(["data", "check", str(store), "--json"])
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert counts[str(tmp_path / "vit")] == {"photos": 12, "views": 2, "regions": 4, "width": 32}


@pytest.mark.slow
def test_extract_says_why_it_makes_no_mosaics(
    data_set: Path, data_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["extract", *data_words, "--vision.mosaics", "2"]
    captions = data_set / "captions.jsonl"
    (data_set / "images" / "4.jpg").write_bytes(b"")
    captions.write_text(captions.read_text().replace('"train"', '"val"'))
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out == f"11 photos, 2 views each, 1 skipped: {tmp_path / 'features'}\n"
    message = f"no mosaics: {captions} has 0 photos in split 'train', and a mosaic needs four"
    assert message in shown.err.splitlines()
    assert not (tmp_path / "features" / "mosaics").exists()


@pytest.mark.slow
def test_extract_makes_mosaics_of_photos_to_train_on(
    data_set: Path, data_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of those that can be read."""
    (data_set / "images" / "4.jpg").write_bytes(b"")
    assert main(["extract", *data_words, "--vision.mosaics", "2"]) == 0
    folder = tmp_path / "features" / "mosaics"
    assert f"2 mosaics of photos to train on: {folder}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_from_photos_to_a_search_with_a_model_of_ones_own(
    data_set: Path, data_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every verb in turn, as a researcher uses them."""
    assert main(["extract", *data_words]) == 0
    words = ["--run", str(tmp_path / "run"), "--optim.epochs", "1", "--optim.batch_images", "3"]
    words += ["--text.trainable_layers", "0", "--model.width", "32", "--model.node_width", "16"]
    capsys.readouterr()
    assert main(["train", *data_words, *words, "--seed", "2"]) == 0
    best = capsys.readouterr().out.strip()
    assert best == str(tmp_path / "run" / "seed2" / "best")

    assert main(["evaluate", best, "--split", "test", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["photos"], report["texts"], report["split"]) == (3, 6, "test")
    assert (report["model"], report["seed"], report["epoch"]) == ("hgan", 2, "1 of 1")
    full = report["protocols"]["full"]
    assert set(full) == {"context", "shared", "local", "S"}
    assert full["S"]["image_to_text"]["recall"]["R@10"] == 100.0
    assert json.loads((tmp_path / "run" / "seed2" / "test.json").read_text()) == report
    assert main(["evaluate", best, "--split", "dev"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    for word in (
        "val split, protocol full",
        "all photos and captions",
        "rSum",
        "R@1",
        " tied ",
        "ties count against the model",
        "3 photos, 6 captions",
        "seed 2, epoch 1 of 1",
    ):
        assert word in table
    assert (tmp_path / "run" / "seed2" / "val.npz").is_file()
    for words, message in (
        (["--split", "nowhere"], "no photo is in split 'nowhere'"),
        (["--protocol", "full,coco-1k"], "needs 5,000; this split has 3"),
        (["--protocol", "best"], "protocol 'best' is unknown; choose from full, "),
    ):
        assert main(["evaluate", best, *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "nothing")]) == 2
    assert "no such folder" in capsys.readouterr().err

    bundle, index = str(tmp_path / "bundle"), str(tmp_path / "index")
    assert main(["export", best, bundle]) == 0
    photos = str(data_set / "images")
    assert main(["index", photos, "--to", index, "--bundle", bundle]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("12 added")
    assert main(["search", "a caption", "--index", index, "-k", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
