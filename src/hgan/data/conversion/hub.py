"""Download a data set from the Hugging Face hub: its Parquet files, and nothing that could be run.

Data sets that are a Python script on the hub have Parquet files too: the hub makes them, in a
branch of their own.
"""

from pathlib import Path, PurePosixPath

from hgan.data.conversion.samples import named_split
from hgan.errors import DataError
from hgan.hub import SECONDS, explained, hub_name, is_out_of_reach
from hgan.progress import console

PREFIX = "hf-dataset:"
CONVERTED = "refs/convert/parquet"
"""The branch with the Parquet files that the hub has made."""
PARTIAL = "partial-"
"""Prefix of the folders of a split of which the hub has converted only the first gigabytes."""


def is_on_hub(source: Path) -> bool:
    """Whether a path is the name of a data set, `hf-dataset:organisation/name`."""
    return str(source).startswith(PREFIX)


def download_tables(source: Path) -> Path:
    """Download the Parquet files of a data set into the hub's cache, unless they are there.

    Args:
        source: `hf-dataset:organisation/name`, or with the name of one of its configurations,
            `hf-dataset:organisation/name/configuration`.

    Returns:
        The folder of the files.

    Raises:
        ConfigError: huggingface_hub is not installed.
        DataError: there is no such data set, it has no Parquet files, or those of several
            configurations; or the hub cannot be reached.
    """
    parts = str(source).removeprefix(PREFIX).split("/")
    name, configuration = "/".join(parts[:2]), "/".join(parts[2:])
    if hub_name(name) is None:
        raise DataError(
            f"{source}: write {PREFIX}ORGANISATION/NAME, as in {PREFIX}nlphuji/flickr30k"
        )
    offline = is_out_of_reach(name)
    for revision in ("main", CONVERTED):
        with explained(name, revision, "data set"):
            from huggingface_hub import HfApi, snapshot_download
            from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

            try:
                files = [f"{configuration}/*.parquet" if configuration else "*.parquet"]
                if not offline:
                    found = HfApi().dataset_info(name, revision=revision, timeout=SECONDS).siblings
                    paths = [PurePosixPath(file.rfilename) for file in found or []]
                    files = _chosen(source, paths, configuration)
                    if not files:
                        continue
                folder = Path(
                    snapshot_download(
                        name,
                        repo_type="dataset",
                        revision=revision,
                        allow_patterns=files,
                        etag_timeout=SECONDS,
                        local_files_only=offline,
                    )
                )
            except (RevisionNotFoundError, LocalEntryNotFoundError):
                if revision == CONVERTED and offline:
                    raise
                continue
        here = [PurePosixPath(p.relative_to(folder).as_posix()) for p in folder.rglob("*.parquet")]
        if _chosen(source, here, configuration):
            return folder / configuration
    raise DataError(
        f"{source}: has no Parquet files on the hub; download it in its own form "
        f"(`hf download --repo-type dataset {name}`), and convert its folder"
    )


def _chosen(source: Path, paths: list[PurePosixPath], configuration: str) -> list[str]:
    """The Parquet files of a configuration, or of the only one.

    Raises:
        DataError: there are several configurations, and none or an unknown one is named.
    """
    tables = [path for path in paths if path.suffix == ".parquet"]
    found = {path: _configuration(path) for path in tables}
    names = sorted(set(found.values()))
    if tables and (configuration not in names if configuration else len(names) > 1):
        choices = ", ".join(name for name in names if name)
        raise DataError(
            f"{source}: name one of its configurations ({choices}), as in {source}/NAME"
        )
    chosen = [path for path in tables if not configuration or found[path] == configuration]
    if any(part.startswith(PARTIAL) for path in chosen for part in path.parts):
        console.print(
            f"{source}: the hub has converted only the first part of this data set to Parquet",
            style="bold red",
            markup=False,
        )
    return [str(path) for path in chosen]


def _configuration(path: PurePosixPath) -> str:
    """The folder of a configuration; empty for files in the main folder, `data` or a split."""
    first = path.parts[0] if len(path.parts) > 1 else ""
    return "" if first == "data" or named_split(PurePosixPath(first)) == first else first
