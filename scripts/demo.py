"""Demo (`make demo`): index a few photos, search them with text, and draw the results.

With `--serve` (`make serve-demo`), the photos can then be searched in the browser. Without
`--photos`, it uses the sample photos of an installed scikit-image. The same in five lines:

    import hgan

    hgan.index_folder("photos", "index")
    with hgan.open_index("index") as index:
        for hit in index.search("a cup of coffee", k=3):
            print(hit.path, hit.score)
"""

import argparse
import hashlib
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from PIL import Image
from rich.console import Console

from hgan import Bundle, HganError, Hit, index_folder, open_index
from hgan.cli.search import hits_table
from hgan.cli.serve import SERVE
from hgan.render.contact_sheet import contact_sheet

# The other images in scikit-image are diagrams, text and microscopy.
SAMPLES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
SAMPLE_QUERIES = (
    "a cat looking at the camera",
    "a cup of coffee on a wooden table",
    "a rocket standing on its launch pad at night",
    "a smiling woman in an orange suit",
    "a red motorcycle in a garage",
    "a man filming with a camera on a tripod",
)
QUERIES = (
    "a group of people laughing",
    "a dog running through the grass",
    "children playing outside",
    "the sea and a beach",
    "a street in a city",
    "mountains under a blue sky",
)
HITS = 5
"""Number of results of each query, which are one row of the contact sheet."""


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description="Index photos and search them.")
    parser.add_argument("--to", type=Path, default=Path("demo"), help="folder of the output")
    parser.add_argument("--photos", type=Path, help="folder of your photos; default: samples")
    parser.add_argument("--bundle", type=Path, help="a model; default: the bundle of hgan")
    parser.add_argument("--serve", action="store_true", help="then open the search page")
    chosen = parser.parse_args()
    photos = chosen.photos or collect_samples(chosen.to / "photos")
    bundle = Bundle.load(chosen.bundle)
    console = Console()

    # Each combination of folder and model has its own index.
    key = hashlib.sha256(f"{photos.resolve()} {bundle.id}".encode()).hexdigest()[:8]
    folder = chosen.to / f"index-{key}"
    start = time.perf_counter()
    report = index_folder(photos, folder, bundle)
    print(
        f"Indexed {photos} in {time.perf_counter() - start:.1f} s: {report.added} added, "
        f"{report.unchanged} unchanged, {len(report.skipped)} skipped.\n"
    )

    sheets = []
    with open_index(folder, bundle) as index:
        for query in QUERIES if chosen.photos else SAMPLE_QUERIES:
            hits = index.search(query, HITS)
            console.print(hits_table(shorten(hits, photos), query), "")
            sheets.append(draw(hits, query, chosen.to))
        photo = hits[0].path
        hits = index.search_image(photo, HITS)
        title = f"photos similar to {photo.name}"
        console.print(hits_table(shorten(hits, photos), title))
        sheets.append(draw(hits, title, chosen.to))
    sheet = stack(sheets, chosen.to / "sheet.png")
    print(f"\nContact sheet: {sheet}")
    if chosen.serve:
        # Any free port, since another service could already be running on the default port.
        parser = SERVE.parser("serve")
        sys.exit(SERVE.run(parser, parser.parse_args([str(folder), "--port", "0"])))


def collect_samples(folder: Path) -> Path:
    """Copy the sample photos of scikit-image, which is not imported."""
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise HganError(
            "no sample photos found; pip install --no-deps scikit-image, or use --photos FOLDER"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in SAMPLES:
        shutil.copy(Path(found.submodule_search_locations[0]) / "data" / name, folder / name)
    return folder


def shorten(hits: list[Hit], photos: Path) -> list[Hit]:
    """Make paths relative to the folder of photos, so that the tables are narrow enough."""
    root = photos.resolve()
    return [Hit(hit.path.relative_to(root), hit.score, hit.levels) for hit in hits]


def draw(hits: list[Hit], title: str, folder: Path) -> Image.Image:
    """Draw one row of the contact sheet."""
    path = folder / ".row.png"
    contact_sheet(hits, path, title)
    with Image.open(path) as row:
        row.load()
    path.unlink()
    return row


def stack(rows: list[Image.Image], path: Path) -> Path:
    """Write rows below each other as one image."""
    sheet = Image.new(
        "RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white"
    )
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(path)
    return path


if __name__ == "__main__":
    try:
        main()
    except HganError as error:
        sys.exit(f"demo: {error}")
