"""The comparison with the authors' code finds what is equal and what is not."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from hgan.training.losses.hinge import Hinge, HingeConfig

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_peers.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_peers", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_peers"] = module
    spec.loader.exec_module(module)
    return module


def compared(script: ModuleType, factor: float) -> Any:
    """Mean pooling beside another of its kind whose scores are multiplied by a factor."""
    one, other = script.ours(name="mean"), script.ours(name="mean", dropout=0.5)
    real = torch.arange(max(script.LENGTHS)) < torch.tensor(script.LENGTHS)[:, None]
    every = torch.ones(script.PHOTOS, script.REGIONS, dtype=torch.bool)

    def score(regions: Tensor, words: Tensor) -> Tensor:
        images, texts = other.encode_regions(regions, every), other.encode_words(words, real)
        found: Tensor = factor * other.similarity(images, texts)
        return found

    names = ("project_regions", "project_words")
    pairs = [(getattr(one, name)[-1], getattr(other, name)[-1]) for name in names]
    return script.compare(one, score, pairs)


def test_equal_networks_are_equal_and_others_are_not(script: ModuleType) -> None:
    assert max(compared(script, 1.0)) < 1e-6
    assert min(compared(script, 1.01)) > script.TOLERANCE


def test_training_learns_which_words_belong_to_which_photo(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def margin(steps: int) -> float:
        """How much higher the mean score of a pair is than that of others."""
        monkeypatch.setattr(script, "STEPS", steps)
        net = script.ours(name="mean")
        real = torch.arange(max(script.LENGTHS)) < torch.tensor(script.LENGTHS)[:, None]
        every = torch.ones(script.PHOTOS, script.REGIONS, dtype=torch.bool)
        names = ("project_regions", "project_words")
        scores = script.trained(
            lambda regions, words: net.similarity(
                net.encode_regions(regions, every), net.encode_words(words, real)
            ),
            script.weights_of(getattr(net, name)[-1] for name in names),
        )
        return float(scores.diag().mean() - scores.mean())

    assert margin(20) > margin(0) + 0.05


def test_losses(script: ModuleType) -> None:
    own = Hinge(HingeConfig(margin=0.2, reduction="sum"), ["context"])

    def hinge(margin: float) -> Any:
        def loss(images: Tensor, texts: Tensor) -> Tensor:
            scores = images @ texts.T
            more = (margin + scores - scores.diag()[:, None]).clamp(min=0)
            worse = (margin + scores - scores.diag()[None]).clamp(min=0)
            off = 1 - torch.eye(len(scores))
            return (more * off).amax(1).sum() + (worse * off).amax(0).sum()

        return loss

    assert max(script.compare_losses(own, hinge(0.2))[:2]) < 1e-6
    assert script.compare_losses(own, hinge(0.3)).scores > script.TOLERANCE


def test_modules_of_the_authors_are_forgotten_again(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("from torchvision import models\nNAME = 'theirs'\n")
    with script.authors(tmp_path, "torchvision"):
        import model  # type: ignore[import-not-found]
    assert model.NAME == "theirs" and model.models is None
    assert "model" not in sys.modules and str(tmp_path) not in sys.path


def test_a_missing_folder_is_named(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--scan", "nowhere"])
    with pytest.raises(SystemExit, match="nowhere: no such folder; clone"):
        script.main()
