"""Explain why a photo matches a sentence, for each level and each word.

    python examples/explain_a_match.py dog.jpg "a dog in the snow" --out why.png
"""

import argparse
from pathlib import Path

import hgan
from hgan.render.heatmap import heatmap_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description="Explain why a photo matches a sentence.")
    parser.add_argument("photo", type=Path, help="file of a photo")
    parser.add_argument("text", help="a sentence")
    parser.add_argument("--out", type=Path, help="write an image with a heat map for each word")
    chosen = parser.parse_args()

    explanation = hgan.load().explain(chosen.photo, chosen.text)
    for level in explanation.levels:
        print(f"{level.name}: {level.weight:.2f} x {level.similarity:.3f} = {level.part:.3f}")
    print(f"similarity: {explanation.score:.3f}")  # the sum of the three
    for word in explanation.words:
        if not word.is_function:
            left, top, right, bottom = explanation.boxes[word.region]
            where = f"{left:.0%}-{right:.0%} x {top:.0%}-{bottom:.0%}"
            print(f"{word.text}: {word.best:.3f} at {where}")
    if chosen.out is not None:
        heatmap_sheet(chosen.photo, explanation, chosen.out)
        print(f"picture: {chosen.out}")


if __name__ == "__main__":
    main()
