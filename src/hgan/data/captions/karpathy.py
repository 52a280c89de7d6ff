"""Read Karpathy's JSON (`dataset_coco.json`): photos with their sentences and split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hgan.data.captions.json_values import photo_record, set_ids
from hgan.data.captions.types import Problem, Record, is_id, is_text


def parse_karpathy(path: Path, images: Any) -> Iterator[Record | Problem]:
    """The photos of a document with the member "images"."""
    if not isinstance(images, list):
        yield Problem("malformed", str(path), '"images" is not a list')
        return
    for number, value in enumerate(images):
        where = f"{path}: images[{number}]"
        found = photo_record(value, "filename", "sentences", where)
        if isinstance(found, Record):
            found.places = [f"{where}.sentences[{i}]" for i in range(len(found.captions))]
            folder = value.get("filepath")  # MS-COCO's photos are in two folders
            if folder is not None and not is_text(folder):
                yield Problem("malformed", where, '"filepath" is not text')
                continue
            found.image = f"{folder}/{found.image}" if folder else found.image
            ids = [sentence.get("sentid") for sentence in value["sentences"]]
            given = ids if all(map(is_id, ids)) else value.get("sentids")
            set_ids(found, value.get("cocoid", value.get("imgid")), given)
        yield found
