"""The model card of an exported dual encoder: what it is, where it comes from, and its terms."""

from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from yaml import YAMLError  # type: ignore[import-untyped]

from hgan.errors import DataError
from hgan.hub import HubModel
from hgan.model.card import PIPELINE_TAG, USE, languages_of
from hgan.runtime.patches import PatchGrid
from hgan.runtime.preprocessing import Preprocessing

_KEPT = "language", "license", "license_name", "license_link"
_EMPTY = "---\n{}\n---\n"
_BODY = """\
# {name} as a bundle

Finds photos for a sentence, and sentences for a photo. This is {name}, a dual encoder of class
{title}, exported for ONNX Runtime; its weights are not changed.

| | |
|---|---|
| levels of similarity | context: the cosine of photo and sentence |
| photos | {photos} |
| languages of queries | {languages} |
| explanations | where a sentence is in a photo: {patches} |

{use}
## Terms

{terms}
"""


def dual_encoder_card(
    source: HubModel, card: ModelCard, preprocessing: Preprocessing, patches: PatchGrid
) -> str:
    """The card as Markdown, with its metadata as YAML at the top.

    Args:
        source: the model.
        card: its own card, whose languages and licence are kept.
        preprocessing: how it wants its photos.
        patches: its patches, with the name of its class.
    """
    own: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    kept: dict[str, Any] = {key: own[key] for key in _KEPT if key in own}
    if source.folder is None:
        kept["base_model"] = source.name
    data = ModelCardData(
        library_name="hgan",
        pipeline_tag=PIPELINE_TAG,
        tags=["image-text-retrieval", "image-text-matching"],
        **kept,
    )
    body = _BODY.format(
        name=source.name,
        title=patches.model,
        patches=patches.source,
        use=USE,
        photos=_photos(preprocessing),
        languages=", ".join(languages_of(card)) or "not stated by its model card",
        terms=_terms(source, own),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}"))


def read_card(source: HubModel) -> ModelCard:
    """The card of a model; an empty one if it has none, or its metadata are not YAML."""
    try:
        path = source.file("README.md")
        return ModelCard(_EMPTY if path is None else path.read_text(encoding="utf-8"))
    except (DataError, OSError, ValueError, YAMLError):
        return ModelCard(_EMPTY)


def _photos(preprocessing: Preprocessing) -> str:
    square = f"{preprocessing.size} x {preprocessing.size} pixels"
    if preprocessing.fit == "squash":
        return f"squashed to {square}"
    return f"the shorter side resized to {preprocessing.shorter_side}, the middle {square}"


def _terms(source: HubModel, own: dict[str, Any]) -> str:
    where = (
        f"see https://huggingface.co/{source.name}"
        if source.folder is None
        else f"those of the model in the folder `{source.name}`"
    )
    named = own.get("license_name") or own.get("license")
    return f"- Weights: {f'{named}; ' if named else ''}{where}."
