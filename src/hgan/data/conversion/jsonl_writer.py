"""Write captions as JSON Lines."""

import json
from pathlib import Path
from typing import Any

from hgan.data.captions.types import Captions
from hgan.files import atomic_write, refuse_existing


def write_jsonl(captions: Captions, target: Path) -> int:
    """Write captions as JSON Lines, with ids if there are any; return the number of photos.

    Raises:
        DataError: the target already exists.
    """
    refuse_existing([target])
    image_ids, caption_ids = captions.image_ids, captions.caption_ids
    with atomic_write(target) as file:
        for photo, texts in enumerate(captions.of_image()):
            line: dict[str, Any] = {
                "image": captions.images[photo],
                "captions": [captions.texts[t] for t in texts],
                "split": captions.splits[photo],
            }
            if image_ids is not None:
                line["image_id"] = int(image_ids[photo])
            if caption_ids is not None:
                line["caption_ids"] = caption_ids[texts].tolist()
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    return len(captions.images)
