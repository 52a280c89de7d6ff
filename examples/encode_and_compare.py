"""Encode photos and sentences, and print the similarity of every pair.

    python examples/encode_and_compare.py dog.jpg beach.jpg --text "a dog" --text "the sea"

`--model` takes the folder of a bundle or a checkpoint, or a name on the Hugging Face hub.
"""

import argparse

import hgan


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the similarity of photos and sentences.")
    parser.add_argument("photos", nargs="+", help="files of photos")
    parser.add_argument("--text", action="append", required=True, help="a sentence; repeatable")
    parser.add_argument("--model", help="default: the model shipped with hgan")
    chosen = parser.parse_args()

    model = hgan.load(chosen.model)
    photos = model.encode_image(chosen.photos)  # paths, PIL images, arrays or bytes
    texts = model.encode_text(chosen.text)
    scores = hgan.similarity(photos, texts, levels=True)
    for row, photo in enumerate(chosen.photos):
        for column, text in enumerate(chosen.text):
            levels = ", ".join(
                f"{name} {values[row, column]:.2f}" for name, values in scores.levels.items()
            )
            print(f"{scores.total[row, column]:.3f}  {photo}  {text!r}  ({levels})")
        print(f"best for {photo}: {chosen.text[scores.total[row].argmax()]}")
    # One vector per item, for vector databases; inner products are S without the local level.
    print(f"dense vectors: {photos.dense.shape} and {texts.dense.shape}")


if __name__ == "__main__":
    main()
