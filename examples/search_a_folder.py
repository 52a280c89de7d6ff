"""Index a folder of photos, and search it with text and with a photo.

    python examples/search_a_folder.py ~/Pictures "two dogs in the snow"

The index is stored next to the folder, so that later runs only read new and changed photos.
"""

import argparse
from pathlib import Path

import hgan


def main() -> None:
    parser = argparse.ArgumentParser(description="Index a folder of photos and search it.")
    parser.add_argument("folder", type=Path, help="folder of photos")
    parser.add_argument("text", help="what to search for")
    parser.add_argument("--where", action="append", help="a filter, such as taken>=2023-06")
    chosen = parser.parse_args()
    index_folder = chosen.folder.parent / f"{chosen.folder.name}.index"

    report = hgan.index_folder(chosen.folder, index_folder)
    print(f"{report.added} added, {report.unchanged} unchanged, {len(report.skipped)} skipped")
    with hgan.open_index(index_folder) as index:
        hits = index.search(chosen.text, k=5, where=chosen.where)
        for hit in hits:
            levels = ", ".join(f"{name} {value:.2f}" for name, value in hit.levels.items())
            print(f"{hit.score:.3f}  {hit.path.name}  ({levels})")
        if hits:
            similar = index.find(hgan.Query(like=hits[0].id), k=3)
            print("similar:", ", ".join(hit.path.name for hit in similar))


if __name__ == "__main__":
    main()
