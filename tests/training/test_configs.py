"""The YAML files of `configs/`: each is read as its header says, and its model can be built."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from hgan.cli.settings import parse_config
from hgan.encoded import LEVELS
from hgan.model.baselines.baseline import BaselineConfig
from hgan.model.hgan import HGAN, HGANConfig
from hgan.model.matchers import build_matcher
from hgan.training.config import Config
from hgan.training.losses.hinge import HingeConfig
from tests.fixtures.networks import WIDTH, text_encoder

ROOT = Path(__file__).parents[2]
FILES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("*.yaml"))
VARIANTS = [f for f in FILES if "ablations" in f]
PAPERS = [f for f in FILES if "papers" in f]
PEERS = [f for f in FILES if "peers" in f]
OTHERS = [*PAPERS, *PEERS]
HGANS = [f for f in FILES if "baselines" not in f and "bigru" not in f and f not in OTHERS]


def settings(file: str) -> Config:
    """As the command in the file's header has it."""
    header = re.findall(r"^#   hgan train +(.*)$", (ROOT / file).read_text(), re.MULTILINE)
    words = header[0].split()
    assert words[-2:] == ["--seed", "1"] and file in words
    return parse_config([str(ROOT / w) if w.endswith(".yaml") else w for w in words])


def size(config: Config) -> int:
    assert isinstance(config.model, HGANConfig)
    net = HGAN(config.model, WIDTH, text_encoder())
    return sum(p.numel() for n, p in net.named_parameters() if not n.startswith("text."))


@pytest.mark.parametrize("file", HGANS)
def test_the_command_in_the_header_builds_a_model(file: str) -> None:
    config = settings(file)
    assert config.seed == 1 and size(config) > 0
    net = HGAN(config.model, WIDTH, text_encoder())
    assert (net.image_tower.graph is not None) == config.model.image_graph
    assert (net.text_tower.graph is not None) == config.model.text_graph
    assert (net.image_tower.aggregation is not None) == config.model.mfar


@pytest.mark.parametrize("file", PEERS)
def test_a_peer_is_given_all_that_hgan_is_given(file: str) -> None:
    config, hgan = settings(file), settings("configs/flickr8k_prior.yaml")
    assert isinstance(config.model, BaselineConfig) and isinstance(hgan.model, HGANConfig)
    assert config.model.context and config.model.prior == hgan.model.prior == "classes"
    assert config.model.prior_width == hgan.model.prior_width
    for section in ("data", "vision", "text", "loss", "optim"):
        assert asdict(config)[section] == asdict(hgan)[section]


@pytest.mark.parametrize("file", VARIANTS)
def test_a_variant_changes_the_model_alone_and_runs_elsewhere(file: str) -> None:
    assert set(yaml.safe_load((ROOT / file).read_text())) == {"model", "run"}
    full, variant = settings("configs/flickr8k.yaml"), settings(file)
    assert variant.run != full.run and variant.run.name == Path(file).stem
    assert size(variant) < size(full)
    for section in ("data", "vision", "text", "loss", "optim"):
        assert asdict(variant)[section] == asdict(full)[section]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "ablations/plain_context",
            {"levels": ["context"], "mfar": False, "graphs": (False, False)},
        ),
        ("ablations/no_image_graph", {"graphs": (False, True)}),
        ("ablations/no_text_graph", {"graphs": (True, False)}),
        ("ablations/no_graphs", {"graphs": (False, False)}),
        ("ablations/no_mfar", {"mfar": False, "levels": ["context", "local"]}),
        ("ablations/context_only", {"levels": ["context"]}),
        ("ablations/shared_only", {"levels": ["shared"]}),
        ("ablations/local_only", {"levels": ["local"]}),
        ("ablations/context_shared", {"levels": ["context", "shared"]}),
        ("ablations/context_local", {"levels": ["context", "local"]}),
        ("ablations/shared_local", {"levels": ["shared", "local"]}),
    ],
)
def test_each_variant_is_what_its_name_says(name: str, changes: dict[str, object]) -> None:
    model = settings(f"configs/{name}.yaml").model
    found = {
        "levels": model.levels,
        "mfar": model.mfar,
        "graphs": (model.image_graph, model.text_graph),
    }
    assert found == {"levels": list(LEVELS), "mfar": True, "graphs": (True, True)} | changes


@pytest.mark.parametrize("file", PAPERS)
def test_the_settings_of_a_paper_are_its_own(file: str) -> None:
    """A hinge loss that is summed, a linear layer without norm, one caption a photo, a step of the
    rate, no average of weights, in the width of the papers."""
    config = settings(file)
    assert config.run == Path("runs/papers") / Path(file).stem
    assert isinstance(config.loss, HingeConfig) and config.loss.reduction == "sum"
    model, optim = asdict(config.model), config.optim
    assert not model["norm"] and model["width"] == 1024
    assert model.get("leak", 0.1) == 0.1
    assert optim.captions_per_image == 1 and optim.decay_at and not optim.ema
    assert optim.epochs >= 125 and not optim.warmup_steps
    build_matcher(config.model, WIDTH, text_encoder())
