"""Attacks on a training: kills, full disks, numbers that are not finite, damaged files, two
processes. A run ends as if nothing had happened, or says what is wrong, and loses at most an epoch.
"""

import errno
import json
import pickle
import random
import re
import resource
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from hgan.cli import main
from hgan.config import DataConfig
from hgan.data.captions.read import read_captions
from hgan.data.features.open import open_features
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError, TrainingError
from hgan.files import CHECKSUMS, write_checksums
from hgan.model.io import load_checkpoint
from hgan.training.checkpoint import load_state
from hgan.training.config import Config
from hgan.training.folder import STOPPED, only_process, run_folder
from hgan.training.losses.loss import LOSSES
from hgan.training.trainer import Trainer, train
from tests.fixtures.disks import mounted
from tests.fixtures.killed import run_hgan, start_hgan
from tests.fixtures.runs import CLOCK, assert_same_run
from tests.fixtures.tiny_model import tiny_config

Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny captions, features and text encoder."""
    folder = tmp_path_factory.mktemp("data")
    tiny_config(folder)
    return folder


@pytest.fixture(scope="module")
def two(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two epochs without a break, each better than the one before, so that both are saved."""
    config = replace(tiny_config(data), run=tmp_path_factory.mktemp("two"))
    assert train(config).epoch == 2
    return config


def contents(folder: Path) -> Contents:
    """All files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def write_config(config: Config, file: Path) -> list[str]:
    """The arguments of `hgan train` for a config."""
    file.write_text(yaml.safe_dump(config.as_dict()))
    return ["--config", str(file)]


# --- kills


def tiny(_: Path, folder: Path) -> Config:
    """Averaged weights, dropout, augmentation, two views, a cache of frozen layers."""
    config = tiny_config(folder, optim={"epochs": 24, "learning_rate": 0.002})
    assert config.optim.ema and config.model.dropout and config.optim.word_drop
    return config


def trained_blocks(flickr8k: Path, folder: Path) -> Config:
    """Also a trained block of the backbone, mosaics, and a prior, on a few real photos."""
    captions = folder / "captions.jsonl"
    kept = {"train": 16, "val": 8}
    with (flickr8k / "captions.jsonl").open(encoding="utf-8") as file, captions.open("w") as few:
        for line in file:
            split = json.loads(line)["split"]
            if kept.get(split, 0):
                few.write(line)
                kept[split] -= 1
    config = tiny_config(
        folder / "tiny",
        vision={"backbone": "efficientnet-lite2", "size": 64, "trained_blocks": 1, "mosaics": 2},
        model={"prior": "classes", "prior_width": 12, "prior_local_width": 6},
        optim={"epochs": 24, "learning_rate": 0.002, "vision_rate": 1.0},
    )
    data = DataConfig(captions, flickr8k / "images", folder / "features")
    config = replace(config, data=data)
    assert main(["extract", *write_config(config, folder / "extract.yaml")]) == 0
    return config


@pytest.mark.slow
@pytest.mark.parametrize("make", [tiny, trained_blocks])
def test_a_run_that_is_killed_twenty_times_ends_as_if_nothing_had_happened(
    make: Callable[[Path, Path], Config], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Eight kills at any time, eight while an epoch is saved, four while a record is."""
    photos = request.getfixturevalue("flickr8k") if make is trained_blocks else tmp_path
    whole = replace(make(photos, tmp_path), run=tmp_path / "whole")
    broken = replace(whole, run=tmp_path / "broken")
    commands = {}
    for config in (whole, broken):
        words = write_config(config, tmp_path / f"{config.run.name}.yaml")
        best = str(run_folder(config) / "best")
        commands[config.run] = ["train", *words, "--resume"], ["evaluate", best, "--split", "val"]
    output = tmp_path / "output.txt"
    training, evaluation = commands[whole.run]
    start = time.monotonic()
    assert run_hgan(training, output) == 0, output.read_text()
    epoch = (time.monotonic() - start) / whole.optim.epochs
    assert run_hgan(evaluation, output) == 0, output.read_text()

    rng = random.Random(0)
    training, evaluation = commands[broken.run]
    moments = ["any time", "saving"] * 8
    rng.shuffle(moments)
    for moment in moments:
        if moment == "saving":
            code = run_hgan(training, output, operation=rng.randint(1, 60))
        else:
            code = run_hgan(training, output, seconds=rng.uniform(0, 1.5 * epoch))
        assert code == -signal.SIGKILL, output.read_text()
    assert run_hgan(training, output) == 0, output.read_text()
    for _ in range(4):
        code = run_hgan(evaluation, output, operation=rng.randint(1, 12))
        assert code == -signal.SIGKILL, output.read_text()
    assert run_hgan(evaluation, output) == 0, output.read_text()
    assert "Traceback" not in output.read_text()

    assert_same_run(whole, broken)
    first, second = (run_folder(config) for config in (whole, broken))
    files, others = contents(first), contents(second)
    assert files.keys() == others.keys()  # no temporary file is left
    # The others contain durations or the name of the run; safetensors writes the names of shared
    # tensors in any order, so the best weights are compared above.
    for name in ("best/config.json", "best/README.md", "best/tokenizer.json", "val.npz"):
        assert files[name] == others[name], name
    assert record(first) == record(second)
    assert log(first) == log(second)


def record(folder: Path) -> dict[str, Any]:
    """The record of an evaluation, without what its clock says and the name of the run."""
    found: dict[str, Any] = json.loads((folder / "val.json").read_text())
    for name in ("microseconds_per_pair", "pairs"):  # it is timed for a fixed time
        del found["cost"][name]
    del found["checkpoint"]
    return found


def log(folder: Path) -> list[list[str]]:
    """The rows of a log, without durations."""
    head, *rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
    kept = [i for i, name in enumerate(head) if name not in CLOCK]
    assert len(kept) == len(head) - len(CLOCK)
    return [[row[i] for i in kept] for row in (head, *rows)]


def test_a_log_that_was_not_written_is_written_by_the_next_run(two: Config, tmp_path: Path) -> None:
    """The process was killed between the last checkpoint and the log."""
    config = replace(two, run=tmp_path)
    train(config)
    before = contents(run_folder(config))
    (run_folder(config) / "log.csv").write_text("epoch,loss\n1,")
    (run_folder(config) / "curves.png").unlink()
    (run_folder(config) / ".last.old").mkdir()
    train(config, resume=True)
    assert contents(run_folder(config)) == before
    assert not (run_folder(config) / ".last.old").exists()


# --- a full disk


SMALL = 8 << 20
"""Size of the small disk in bytes."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has few bytes."""
    with mounted(tmp_path / "disk", SMALL) as place:
        yield place


def size(folder: Path) -> int:
    return sum(map(len, contents(folder).values()))


def fill(disk: Path, free: int) -> Path:
    """Write a file that leaves this many bytes."""
    file = disk / "filler"
    with file.open("wb", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        opened.truncate(opened.tell() - free)
    return file


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_full_disk(two: Config, disk: Path, part: float) -> None:
    """There is no room for the second epoch, or only for a part of its state."""
    config = replace(two, run=disk / "run")
    train(config, stop_after=1)
    folder = run_folder(config)
    before = contents(folder / "last")
    free = int(part * size(folder / "last"))
    files = folder / "last" / "tensors.safetensors", folder / "best" / "model.safetensors"
    needed = sum(file.stat().st_size for file in files)
    filler = fill(disk, free)
    with pytest.raises(TrainingError) as caught:
        train(config, resume=True)
    said = str(caught.value)
    assert said.startswith(f"{folder}") and "No space left on device" in said
    found = re.search(r"need about ([\d.]+) MB beside the old ones, and ([\d.]+) MB are free", said)
    assert found is not None
    assert float(found[1]) == pytest.approx(needed / 1e6, rel=0.1)
    assert float(found[2]) == pytest.approx(free / 1e6, abs=0.11)
    assert "free some space" in said and "--resume after epoch 1" in said
    assert contents(folder / "last") == before
    assert len(load_state(folder / "last")["history"]) == 1
    load_checkpoint(folder / "best")
    filler.unlink()
    train(config, resume=True)
    assert_same_run(two, config)


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Limits the size of files that this process writes, as a full disk does, without a mount."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_files_that_may_not_be_large(
    two: Config,
    tmp_path: Path,
    file_limit: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the command line; the model fits, the larger state does not."""
    config = replace(two, run=tmp_path / "run")
    train(config, stop_after=1)
    folder = run_folder(config)
    before = contents(folder / "last")
    model, state = (
        (folder / name).stat().st_size
        for name in ("best/model.safetensors", "last/tensors.safetensors")
    )
    assert model < state / 2
    words = ["train", *write_config(config, tmp_path / "run.yaml"), "--resume"]
    capsys.readouterr()
    for limit, name in ((model // 2, ".best.new/model"), (state - 1, ".last.new/tensors")):
        file_limit(limit)
        assert main(words) == 2
        file_limit(resource.RLIM_INFINITY)
        said = capsys.readouterr().err
        assert f"hgan: {folder}/{name}.safetensors: File too large" in said
        assert "--resume after epoch 1" in said and "Traceback" not in said
        assert contents(folder / "last") == before
    assert main(words) == 0
    assert_same_run(two, config)


def test_a_file_that_cannot_be_replaced(two: Config, tmp_path: Path) -> None:
    """After the checkpoint: its epoch is not lost, and space is not what is missing."""
    config = replace(two, run=tmp_path)
    (run_folder(config) / "log.csv" / "mine").mkdir(parents=True)
    with pytest.raises(
        TrainingError, match=r"log\.csv.*directory.*writable.* after epoch 1, which"
    ):
        train(config)
    (run_folder(config) / "log.csv" / "mine").rmdir()
    (run_folder(config) / "log.csv").rmdir()
    train(config, resume=True)
    assert_same_run(two, config)


# --- numbers that are not finite


LOSS = """
from dataclasses import dataclass
from typing import ClassVar
from hgan.training.losses.loss import LOSSES, Loss, LossConfig

@dataclass
class WrongConfig(LossConfig):
    name: str = "wrong"
    what: str = "none"

@LOSSES.register
class Wrong(Loss):
    Config = WrongConfig
    factor: float = 1.0

    def start_epoch(self, epoch):
        self.steps = 0
        self.wrong = self.config.what if epoch == 1 else "none"

    def after_step(self):
        self.steps += 1

    def forward(self, name, scores, image_of):
        value = -scores.mean()
        if self.wrong == "none" or self.steps < 2:
            return value
        if self.wrong == "gradient":  # the square root of zero, whose slope is infinite
            return value + (scores - scores.detach()).abs().sum().sqrt()
        return value * float(self.wrong)

    def chance_level(self, images, texts):
        return 5.0
"""
"""A loss that somebody has written, and that fails in the third step of the second epoch."""


@pytest.mark.usefixtures("forget_plugins")
@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("nan", "the loss is nan"),
        ("inf", "the loss is -inf"),
        ("gradient", "the norm of the gradient is nan"),
    ],
)
def test_a_loss_that_is_not_finite(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, problem: str
) -> None:
    (tmp_path / "loss.py").write_text(LOSS)
    settings = tiny_config(data).as_dict() | {"loss": {"name": "wrong", "what": what}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    words = ["train", "--plugin", str(tmp_path / "loss.py"), "--config", str(tmp_path / "run.yaml")]
    words += ["--run", str(tmp_path / "run"), "--resume"]
    assert main(words) == 2
    folder = tmp_path / "run" / "seed1"
    said = " ".join(capsys.readouterr().err.split())
    assert f"hgan: {folder}: epoch 2, step 3: {problem}. The batch has the photos" in said
    assert "optim.learning_rate" in said and "hgan data check" in said
    assert len(load_state(folder / "last")["history"]) == 1
    assert all(torch.isfinite(x).all() for x in load_state(folder / "last")["network"].values())

    stopped = json.loads((folder / STOPPED).read_text())
    assert (stopped["epoch"], stopped["step"], stopped["problem"]) == (2, 3, problem)
    captions = read_captions(data / "captions.jsonl").split("train")
    assert len(set(stopped["photos"])) == 8 and set(stopped["photos"]) <= set(captions.images)
    assert all(name in said for name in stopped["photos"][:3])
    assert {photo for photo, _ in stopped["captions"].values()} == set(stopped["photos"])
    for position, (photo, text) in stopped["captions"].items():
        assert captions.texts[int(position)] == text
        assert captions.images[captions.image_of[int(position)]] == photo

    before = contents(folder)
    assert main(words) == 2  # again at the same step, and nothing else happens
    assert contents(folder) == before
    assert LOSSES.find("wrong")


def test_a_learning_rate_that_is_too_high(data: Path, tmp_path: Path) -> None:
    """Weights overflow in the first epoch: there is no checkpoint, rather than a bad one."""
    config = tiny_config(data, optim={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"epoch 1, step \d: the .* is (nan|inf)"):
        train(replace(config, run=tmp_path))
    names = {path.name for path in run_folder(replace(config, run=tmp_path)).iterdir()}
    assert names == {"config.json", "lock", STOPPED}


def test_weights_that_overflow_in_the_last_step(data: Path, tmp_path: Path) -> None:
    """The loss was finite in each step; validation finds it."""
    optim = {"learning_rate": 1e30, "batch_images": 32, "warmup_steps": 0, "epochs": 1}
    config = replace(tiny_config(data, optim=optim), run=tmp_path)
    with pytest.raises(DataError, match=r"scores of photos .* contain NaN or infinity; check"):
        train(config)
    assert not (run_folder(config) / "best").exists()


def spoil(folder: Path, name: str, row: int) -> None:
    """Write a NaN into a store, with its checksum, as another program might."""
    file, manifest = folder / f"{name}.npy", folder / "manifest.json"
    array = np.load(file)
    array[row, ..., 0] = np.nan
    np.save(file, array)
    values = json.loads(manifest.read_text())
    del values["checksums"]["manifest"]
    values["checksums"][name] = zlib.crc32(file.read_bytes())
    manifest.write_text(json.dumps(values))


@pytest.mark.parametrize("name", ["regions", "context"])
@pytest.mark.parametrize("row", [5, 40], ids=["train", "val"])
def test_features_that_are_not_finite(tmp_path: Path, name: str, row: int) -> None:
    config = tiny_config(tmp_path)
    spoil(config.data.features, name, row)
    words = rf"features/{name}\.npy: features of 0{row:02}\.jpg are not finite .*extract again"
    with pytest.raises(DataError, match=words):
        train(config)
    assert not (run_folder(config) / "best").exists()


# --- damaged files, and files that are not what they should be


def damages(file: Path, rng: random.Random) -> Iterator[str]:
    """Damage a file in several ways, one after another; it is as before at the end."""
    content = file.read_bytes()
    for _ in range(12):
        place, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        damaged = bytearray(content)
        damaged[place] ^= bit
        file.write_bytes(damaged)
        yield f"bit {bit} of byte {place}"
    for length in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 2):
        file.write_bytes(content[:length])
        yield f"the first {length} of {len(content)} bytes"
    file.write_bytes(content)


def refused_by_name(file: Path, read: Callable[[], object], fix: str) -> None:
    for damage in damages(file, random.Random(0)):
        try:
            read()
        except DataError as error:
            assert str(file) in str(error) and fix in str(error), damage
        else:
            pytest.fail(f"{file}: {damage}, and it was read")
    read()


@pytest.fixture
def run(two: Config, tmp_path: Path) -> Path:
    """The folder of a finished run."""
    folder = tmp_path / "seed1"
    for name, content in contents(run_folder(two)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_state(run: Path, name: str) -> None:
    refused_by_name(run / "last" / name, lambda: load_state(run / "last"), "train again")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_checkpoint(run: Path, name: str) -> None:
    refused_by_name(run / "best" / name, lambda: load_checkpoint(run / "best"), "copy the check")


@pytest.mark.parametrize("folder", ["last", "best"])
def test_damaged_checksums(run: Path, folder: str) -> None:
    """They are refused, or the file whose checksum is damaged."""
    read = {"last": load_state, "best": load_checkpoint}[folder]
    for damage in damages(run / folder / CHECKSUMS, random.Random(1)):
        with pytest.raises(DataError, match=str(run / folder)):
            read(run / folder)
            pytest.fail(damage)
    read(run / folder)


def test_checksums_of_files_elsewhere(run: Path) -> None:
    """Files outside the folder are not read, not even to compare them."""
    for name in ("../best/model.safetensors", "/dev/zero"):
        (run / "best" / CHECKSUMS).write_text(json.dumps({name: "0" * 64}))
        with pytest.raises(DataError, match="not checksums by file name"):
            load_checkpoint(run / "best")


@pytest.mark.parametrize("name", ["regions.npy", "context.npy", "manifest.json"])
def test_damaged_features(tmp_path: Path, name: str) -> None:
    folder = tiny_config(tmp_path).data.features
    refused_by_name(folder / name, lambda: FeatureStore(folder), "extract again")


def test_features_that_were_extracted_again_with_another_width(
    two: Config, run: Path, tmp_path: Path
) -> None:
    """The settings are the same, but the state does not fit."""
    store = FeatureStore(two.data.features)
    manifest = replace(store.manifest, width=8, checksums={}, rows_done=0)
    features = np.random.default_rng(0).normal(size=(len(manifest.ids), 2, 4, 8))
    with FeatureWriter(tmp_path / "features", manifest) as writer:
        writer.write(features, features.mean(2), {})
        writer.finish()
    config = replace(two, run=run.parent)
    state = json.loads((run / "last" / "state.json").read_text())
    assert str(two.data.features) in json.dumps(state)
    edited = json.dumps(state).replace(str(two.data.features), str(tmp_path / "features"))
    (run / "last" / "state.json").write_text(edited)
    write_checksums(run / "last", ("state.json", "tensors.safetensors"))
    config = replace(config, data=replace(config.data, features=tmp_path / "features"))
    with pytest.raises(DataError, match=r"last: does not fit the model .* features changed\?"):
        train(config, resume=True)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def as_pickle(file: Path, bomb: Bomb) -> None:
    file.write_bytes(pickle.dumps(bomb))


def as_torch(file: Path, bomb: Bomb) -> None:
    torch.save({"state": bomb}, file)


def as_numpy(file: Path, bomb: Bomb) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.array([bomb], dtype=object), allow_pickle=True)


def unpickle(file: Path) -> None:
    """What a careless program does."""
    if file.read_bytes().startswith(b"PK"):
        torch.load(file, weights_only=False)
    else:
        np.load(file, allow_pickle=True)  # also reads plain pickles


@pytest.mark.parametrize("write", [as_pickle, as_torch, as_numpy])
def test_nothing_is_unpickled(
    run: Path, tmp_path: Path, write: Callable[[Path, Bomb], None]
) -> None:
    """Also without checksums, as in the files of older versions, or after they were removed."""
    bomb = Bomb(tmp_path / "exploded")
    write(tmp_path / "test", bomb)
    unpickle(tmp_path / "test")
    assert bomb.marker.exists()  # the bomb works
    bomb.marker.unlink()

    features = tiny_config(tmp_path / "data").data.features
    readers: dict[Path, Callable[[], object]] = {
        run / "last": lambda: load_state(run / "last"),
        run / "best": lambda: load_checkpoint(run / "best"),
        features: lambda: open_features(features, "tiny"),
    }
    for folder, read in readers.items():
        (folder / CHECKSUMS).unlink(missing_ok=True)
        files = [file for file in folder.iterdir() if file.suffix != ".md"]
        assert len(files) >= 2
        for file in files:
            content = file.read_bytes()
            write(file, bomb)
            with pytest.raises(DataError, match=str(file)):
                read()
            file.write_bytes(content)
        for name in ("pytorch_model.bin", "optimizer.pt", "weights.pkl"):
            write(folder / name, bomb)
        read()
    assert not bomb.marker.exists()


def test_no_code_comes_from_a_checkpoint(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text encoder names a Python file, as models on the hub can; nobody is asked either."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question on the terminal"))
    (tmp_path / "code").mkdir()
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'exploded')!r}).touch()\n"
    (tmp_path / "code" / "modeling.py").write_text(code)
    file = run / "best" / "config.json"
    values = json.loads(file.read_text())
    for kind in ("bert", "timm_backbone", "encoder-decoder"):
        names = {
            name: f"{tmp_path / 'code'}--modeling.Model" for name in ("AutoModel", "AutoConfig")
        }
        values["encoder"] |= {"model_type": kind, "auto_map": names}
        file.write_text(json.dumps(values))
        write_checksums(run / "best", ("config.json", "tokenizer.json", "model.safetensors"))
        if kind == "bert":
            load_checkpoint(run / "best")
        else:
            with pytest.raises(DataError, match=r"config\.json: damaged or incomplete"):
                load_checkpoint(run / "best")
    assert not (tmp_path / "exploded").exists()


# --- two processes


BUSY = r"seed1: another process is training this run; wait until it ends or stop it, or choose"


def test_a_run_that_another_process_trains(two: Config, tmp_path: Path) -> None:
    """It is refused before the data are read, and without a change to the run."""
    config = replace(two, run=tmp_path)
    with only_process(run_folder(config)), pytest.raises(TrainingError, match=BUSY):
        train(replace(config, data=DataConfig()), resume=True)
    assert [path.name for path in run_folder(config).iterdir()] == ["lock"]
    train(config)
    assert_same_run(two, config)


def test_the_other_process_starts_while_the_data_are_read(two: Config, tmp_path: Path) -> None:
    config = replace(two, run=tmp_path)
    trainer = Trainer(config, resume=True)
    with only_process(run_folder(config)), pytest.raises(TrainingError, match=BUSY):
        trainer.run(None)
    train(config)
    assert load_state(run_folder(config) / "last")["best"]["epoch"] == 2


@pytest.mark.slow
def test_two_commands_at_once(data: Path, tmp_path: Path) -> None:
    """The second is refused with exit code 2; when the first is killed, the lock is free."""
    optim = {"epochs": 500, "learning_rate": 0.001}
    config = replace(tiny_config(data, optim=optim), run=tmp_path)
    words = ["train", *write_config(config, tmp_path / "run.yaml"), "--resume"]
    first, started = start_hgan(words, tmp_path / "first.txt")
    assert started()
    second = tmp_path / "second.txt"
    assert run_hgan(words, second) == 2
    assert re.search(BUSY, " ".join(second.read_text().split())) and first.is_alive()
    while not (run_folder(config) / "log.csv").exists():
        time.sleep(0.01)
    first.kill()
    first.join()
    assert train(config, resume=True, stop_after=0).epoch > 0


def test_a_file_system_without_locks(
    two: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Some network file systems have none: the run is trained, and the danger is told."""

    def unlocked(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unlocked)
    config = replace(two, run=tmp_path)
    train(config)
    assert_same_run(two, config)
    assert "nothing prevents another process" in " ".join(capsys.readouterr().err.split())
