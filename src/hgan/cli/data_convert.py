"""The verb `data convert`: convert captions and features to another format."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from hgan.cli.verb import Verb


def _convert_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        help="captions, a feature store, a folder, a TSV, shards, or hf-dataset:ORGANISATION/NAME",
    )
    parser.add_argument("target", type=Path, help="a .jsonl file, or a folder")
    parser.add_argument("--captions", type=Path, help="captions of the photos of a feature store")
    parser.add_argument("--ids", type=Path, help="SPLIT_ids.txt: which photos of a TSV to write")
    parser.add_argument(
        "--column", help="column of the captions of a data set with photos, if it is not found"
    )
    parser.add_argument(
        "--split", help="split of the photos of a data set that does not say it itself"
    )


def _convert(_parser: ArgumentParser, chosen: Namespace) -> int:
    from hgan.data.conversion.convert import convert

    print(
        convert(
            chosen.source, chosen.target, chosen.captions, chosen.ids, chosen.column, chosen.split
        )
    )
    return 0


DATA_CONVERT = Verb(
    summary="Convert captions or features to another format.",
    details=(
        "The source and the name of the target decide what is written:\n"
        "  captions in any format     FILE.jsonl  JSON lines\n"
        "  captions in any format     a folder    lists in SCAN's format\n"
        "  a folder in SCAN's format  a folder    a feature store, from its SPLIT_ims.npy\n"
        "  a feature store            a folder    lists and arrays in SCAN's format\n"
        "  bottom-up attention's TSV  a folder    arrays in SCAN's format, of one split\n"
        "  a data set with photos     a folder    photos and captions.jsonl\n"
        "A data set with photos is a folder of save_to_disk, Parquet files, hf-dataset:NAME on\n"
        "the Hugging Face hub, or WebDataset's shards, such as 'shards/{000..009}.tar'.\n"
        "Existing files are never overwritten, and a failed conversion leaves no partial files."
    ),
    examples=(
        "hgan data convert captions_val2017.json coco.jsonl",
        "hgan data convert data/flickr8k/captions.jsonl data/flickr8k_lists",
        "hgan data convert data/f30k_precomp features/f30k",
        "hgan data convert features/flickr8k out --captions data/flickr8k/captions.jsonl",
        "hgan data convert test.tsv data/coco_precomp --ids lists/test_ids.txt",
        "hgan data convert hf-dataset:nlphuji/flickr30k data/flickr30k",
        "hgan data convert 'shards/{000000..000009}.tar' data/pairs --split train",
    ),
    arguments=_convert_arguments,
    run=_convert,
)
