"""Title, source and parts of the matchers, until the classes have them as attributes themselves."""

from hgan.config import ModelConfig
from hgan.model.matcher import Matcher

_METHODS = {
    "hgan": (
        "HGAN",
        "Hierarchical Graph Alignment Network (Guo et al., IEEE TMM 25, 2023; arXiv 2212.08281).",
    ),
    "vse++": ("VSE++", "Visual-semantic embedding (Faghri et al., BMVC 2018; arXiv 1707.05612)."),
    "vse_infinity": (
        "VSE-infinity",
        "Generalised pooling (Chen et al., CVPR 2021; arXiv 2011.04305).",
    ),
    "scan": ("SCAN", "Stacked cross attention (Lee et al., ECCV 2018; arXiv 1803.08024)."),
    "sgraf": (
        "SGRAF",
        "Similarity reasoning and filtration (Diao et al., AAAI 2021; arXiv 2101.01368).",
    ),
}


def title_of(network: Matcher) -> str:
    """Name of the method."""
    return getattr(network, "title", None) or _METHODS[network.config.name][0]


def source_of(network: Matcher) -> str:
    """The paper of the method, as one sentence."""
    return getattr(network, "source", None) or _METHODS[network.config.name][1]


def parts_of(network: Matcher) -> dict[str, str]:
    """What the matcher consists of, as far as its configuration leaves a choice."""
    describe = getattr(network, "describe_parts", None)
    return _parts(network.config) if describe is None else describe()


def _parts(config: ModelConfig) -> dict[str, str]:
    if config.name == "scan":
        ways = {"t2i": "words attend to regions", "i2t": "regions attend to words"}
        return {"attention": ways[config.attention], "aggregation": config.aggregation}
    if config.name == "sgraf":
        ways = {"sgr": "graph (SGR)", "saf": "attention filtration (SAF)"}
        return {"reasoning": f"{ways[config.reasoning]}, {config.similarity_width} wide"}
    if config.name != "hgan":
        return {"pooling": "mean" if config.name == "vse++" else "generalised"}
    on = {True: "yes", False: "no"}
    graphs = f"photo {on[config.image_graph]}, sentence {on[config.text_graph]}"
    return {"feature graphs": graphs, "MFAR": on[config.mfar]}
