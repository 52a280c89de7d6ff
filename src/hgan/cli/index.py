"""The verb `index`: index folders of photos, or a file of texts."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from hgan.cli.device import BUNDLE_NAMES, device_argument, use_device
from hgan.cli.index_report import print_event, print_report
from hgan.cli.model import SHIPPED, model_argument, named_model
from hgan.cli.verb import Verb
from hgan.errors import ConfigError
from hgan.locations import default_index
from hgan.terminal import print_visible

_OF_PHOTOS = "address", "engine", "estimate", "exclude", "part", "quantize", "regions", "watch"
"""Options that need photos."""


def _index_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        nargs="*",
        type=str,
        metavar="FOLDER_OR_FILE",
        help="folders of photos, or an address such as s3://bucket/2023, including their "
        "subfolders; or a file of captions or sentences; by default those of the index. --model "
        "alone remembers where the model of the index is now",
    )
    parser.add_argument(
        "--to",
        type=str,
        metavar="INDEX",
        help="where the index is stored: a folder or http://SERVER/COLLECTION; by default a "
        "folder in your user data",
    )
    model_argument(parser, f"that of the index, or else {SHIPPED}")
    device_argument(parser, BUNDLE_NAMES)
    parser.add_argument(
        "--quantize",
        choices=["int8", "none"],
        help="create the index with 8-bit vectors: smaller, less exact; none is the default, and "
        "goes back to it with --rebuild",
    )
    parser.add_argument(
        "--regions",
        type=PositiveInt,
        help="create the index with fewer regions for each photo, such as 9 or 4, by averaging "
        "neighbouring regions: much smaller, slightly less exact",
    )
    parser.add_argument(
        "--exclude",
        type=str,
        metavar="RULE",
        action="append",
        help="leave out files that match a rule of gitignore, such as '*.png' or 'drafts/'; can be "
        'repeated. Later runs and `hgan serve` follow it too; "" removes all of them',
    )
    parser.add_argument(
        "--part",
        type=str,
        metavar="N/OF",
        help="index only one part of the photos, such as 2/8 on the second of eight machines that "
        "index the same photos into one server",
    )
    parser.add_argument(
        "--engine",
        choices=["ray"],
        help="encode with the machines of a Ray cluster, into an index on a server; on each, hgan, "
        "the photos and the model must be at the same place",
    )
    parser.add_argument(
        "--address",
        type=str,
        metavar="HOST:PORT",
        help="head of the Ray cluster; by default the cluster that this machine is part of, or "
        "else the cores of this machine",
    )
    parser.add_argument(
        "--failed",
        type=Path,
        metavar="FILE",
        help="write what cannot be read into a file of JSON lines, each with path and reason, "
        "instead of printing it; a list of an earlier run is replaced",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="after indexing, keep the index up to date until interrupted",
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="print the expected disk space, memory and time, and do nothing else",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare the stored vectors with their checksums, and mark what is damaged; the next "
        "run without --verify encodes it again",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="compare the stored vectors with their checksums, encode again what is damaged, and "
        "add what is missing",
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="build the index anew, with another --model, --quantize, --regions or --exclude, or "
        "with those that it has; it can be searched until the new one replaces it",
    )


def _index(_parser: ArgumentParser, chosen: Namespace) -> int:
    use_device(chosen.device)
    _check_failed(chosen)
    folders, to = chosen.folders or None, chosen.to or default_index()
    if chosen.verify:
        return _verify(to)
    if chosen.repair:
        return _repair(to, chosen)
    if chosen.rebuild:
        return _rebuild(to, chosen)
    if folders is None and chosen.model is not None and not _has_photo_options(chosen):
        return _remember(to, chosen.model)
    folders = folders or _folders_of(to)
    _check_engine(chosen)
    bundle = named_model(chosen.model)
    quantize = None if chosen.quantize == "none" else chosen.quantize
    regions, exclude = chosen.regions, chosen.exclude
    if len(folders) == 1 and Path(folders[0]).is_file():
        for option in ("engine", "estimate", "exclude", "part", "regions", "watch"):
            if chosen[option]:
                raise ConfigError(f"{folders[0]} is a file of texts; --{option} is only for photos")
        from hgan.index.texts import index_texts

        return print_report(index_texts(folders[0], to, bundle, quantize), to, chosen.failed)
    elif chosen.estimate:
        from hgan.index.estimate import estimate
        from hgan.index.open import kept_rules

        if chosen.part is not None:
            raise ConfigError("--estimate estimates all photos; omit --part")
        rules = kept_rules(to) if exclude is None else exclude
        for line in estimate(folders, bundle, quantize, regions, rules).lines():
            print_visible(line)
    elif chosen.watch:
        from hgan.index.watcher import watch_folder

        if chosen.part is not None:
            raise ConfigError("--watch indexes all photos; omit --part")
        try:
            watch_folder(
                folders, to, bundle, quantize, regions, exclude, lambda done: print_event(done, to)
            )
        except KeyboardInterrupt:  # the usual end of watching; pending writes are finished
            print("stopped", file=sys.stderr)
    else:
        from hgan.index.indexer import index_folder
        from hgan.index.shard import WHOLE, Shard

        shard = WHOLE if chosen.part is None else Shard.parse(chosen.part)
        wanted = folders, to, bundle, quantize, shard, regions, exclude
        if chosen.engine:
            from hgan.index.distributed.run import index_on_ray

            return print_report(index_on_ray(*wanted, chosen.address), to, chosen.failed)
        return print_report(index_folder(*wanted), to, chosen.failed)
    return 0


def _has_photo_options(chosen: Namespace) -> bool:
    return any(chosen[name] for name in _OF_PHOTOS)


def _folders_of(to: Path | str) -> list[str]:
    """What an index contains the photos or texts of.

    Raises:
        ConfigError: there is no index.
    """
    from hgan.index.store.open import is_address, read_manifest

    if not is_address(to) and not (Path(to) / "index.json").exists():
        raise ConfigError("name the photos or texts to index, as in `hgan index ~/Pictures`")
    return [str(place) for place in read_manifest(to).roots.by_name.values()]


def _check_failed(chosen: Namespace) -> None:
    """Raise an error if the list of failed items cannot be written in the end."""
    if chosen.failed is None:
        return
    from hgan.index.failures import check_table

    for option in ("estimate", "verify", "watch"):
        if chosen[option]:
            raise ConfigError(f"--{option} prints what it finds; omit --failed")
    check_table(chosen.failed)


def _check_engine(chosen: Namespace) -> None:
    """Raise `ConfigError` if the engine is named with options that it does not have."""
    if chosen.address is not None and chosen.engine is None:
        raise ConfigError("--address is that of a Ray cluster; add --engine ray")
    for option in ("estimate", "watch"):
        if chosen.engine is not None and chosen[option]:
            raise ConfigError(f"--{option} runs on this machine only; omit --engine")


def _verify(to: Path | str) -> int:
    """Print what is damaged to standard error, and counts to standard output; returns 1 if
    something is damaged or missing."""
    from hgan.index.store.contract import repair
    from hgan.index.verify import verify_index

    result = verify_index(to)
    for item in sorted(result.damaged):
        print_visible(f"damaged {item}", file=sys.stderr)
    print_visible(
        f"{result.intact} intact, {len(result.damaged)} damaged, {result.missing} missing, "
        f"{result.unchecked} without checksums: {to}"
    )
    if not result.good:
        print_visible(repair(to), file=sys.stderr)
    return 0 if result.good else 1


def _remember(to: Path | str, model: str) -> int:
    """Remember where the model of an index is now, and print it."""
    from hgan.index.open import remember_model

    bundle = named_model(model)
    assert bundle is not None
    remember_model(to, bundle)
    print_visible(f"the model of {to} is now in {bundle.folder}")
    return 0


def _repair(to: Path | str, chosen: Namespace) -> int:
    """Print what was encoded again and added."""
    from hgan.index.repair import repair_index

    done = repair_index(to, named_model(chosen.model))
    if done.lost:
        print_visible(
            f"the engine could not read its files ({done.lost}); the index was created again, "
            "without the tags that users had added",
            file=sys.stderr,
        )
    return print_report(done.report, to, chosen.failed)


def _rebuild(to: Path | str, chosen: Namespace) -> int:
    """Print what the new index contains."""
    from hgan.index.rebuild import rebuild_index
    from hgan.progress import console

    for option in ("part", "watch", "estimate"):
        if chosen[option]:
            raise ConfigError(f"--rebuild builds the whole index; omit --{option}")
    done = rebuild_index(
        to,
        named_model(chosen.model),
        chosen.quantize,
        chosen.regions,
        chosen.exclude,
        chosen.folders or None,
        console.print,
    )
    if done.lost:
        print_visible(
            f"the engine could not read the old index ({done.lost}); the tags that users had added "
            "are lost",
            file=sys.stderr,
        )
    return print_report(done.report, to, chosen.failed)


INDEX = Verb(
    summary="Index folders of photos, or a file of texts.",
    details=(
        "Reads every photo of the folders once. Run it again to update the index: only new and\n"
        "changed photos are read, and missing photos are removed. An interrupted run continues\n"
        "where it stopped. Photos that cannot be read are skipped and listed; other files, hidden\n"
        "files and images with a side below 64 pixels are left out and counted. Rules of\n"
        "gitignore in files named .hganignore, or given with --exclude, leave out more. Without\n"
        "--to, the index is in $HGAN_INDEX, or else in a folder in your user data. Photos can\n"
        "also be in S3 (pip install 'hgan[cloud]') and in other stores that fsspec reads;\n"
        "credentials are read from the same places as by the stores' own tools.\n\n"
        "Of several folders, the photos of the first one have paths relative to it, as in\n"
        "2023/beach.jpg, and those of each other folder are below its name: Photos/beach.jpg. To\n"
        "add a folder to an index, name it after all that it has. If only some are named, the\n"
        "others are not looked at. The photos of a folder that cannot be read now, such as a disk\n"
        "that is not plugged in, stay in the index.\n\n"
        "On a Qdrant server an index is a collection. Settings can follow its name, as in\n"
        "?shard_number=3&replication_factor=2: shard_number, replication_factor and\n"
        "write_consistency_factor of a new collection; timeout (seconds) and attempts of a\n"
        "request; patience, the seconds to wait for a server that is down. With https, the\n"
        "connection is encrypted; $SSL_CERT_FILE can be set to a certificate to trust instead\n"
        "of the default ones. $HGAN_QDRANT_API_KEY is the server's API key.\n\n"
        "A file of captions (JSON lines, CSV and other formats) or of sentences (.txt, one per\n"
        "line) is indexed as texts, so that captions can be found by photo. With --watch, the\n"
        "index is kept up to date until Ctrl-C: new and changed photos are read as soon as\n"
        "they are completely written. Meanwhile the index can be searched; a search waits for\n"
        "an update that is running.\n\n"
        "--rebuild fills a new index beside the old one, which is searched and served meanwhile.\n"
        "When it is whole, it replaces the old one; a service goes over to it by itself. Tags\n"
        "that users have added are kept. If it is interrupted, run it again with the same options."
    ),
    examples=(
        "hgan index ~/Pictures",
        "hgan index ~/Pictures /media/disk/Photos",
        "hgan index ~/Pictures --to holidays.index",
        "hgan index ~/Pictures --to mine.index --model bundles/mine",
        "hgan index ~/Pictures --to clip.index --model openai/clip-vit-base-patch32",
        "hgan index ~/Pictures --to http://localhost:6333/pictures",
        "hgan index s3://bucket/2023 --to http://localhost:6333/pictures --part 2/8",
        "hgan index /photos --engine ray --to http://qdrant:6333/photos --failed failed.jsonl",
        "hgan index ~/Pictures --estimate",
        "hgan index ~/Pictures --exclude '*.png' --exclude drafts/",
        "hgan index ~/Pictures --to small.index --regions 9 --quantize int8",
        "hgan index ~/Pictures --watch",
        "hgan index --to holidays.index --verify",
        "hgan index --to holidays.index --repair",
        "hgan index --to http://localhost:6333/pictures --model bundles/moved",
        "hgan index --to holidays.index --rebuild --model bundles/better",
        "hgan index captions.jsonl --to captions.index",
    ),
    arguments=_index_arguments,
    run=_index,
)
