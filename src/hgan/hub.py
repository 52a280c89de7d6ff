"""Models on the Hugging Face hub: recognise their names, and download their files."""

import re
from pathlib import Path

from hgan.errors import ConfigError, DataError

PREFIX = "hf-hub:"
FILES = ("*.json", "*.onnx", "*.safetensors", "README.md")
"""Files to download. There are no others, so that nothing is ever unpickled."""
SECONDS = 10
"""Timeout for the hub in seconds."""

PATIENCE = 3
"""Seconds to wait for the hub's first answer, before it counts as out of reach."""

OUT_OF_REACH = (
    "the Hugging Face hub cannot be reached (or HF_HUB_OFFLINE is set), and not all files of this "
    "model are in the cache here; check the network, or name a folder with a copy of the model"
)
"""What is wrong with a model on the hub, and what to do, if the hub does not answer."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def hub_name(source: str) -> str | None:
    """The name of a model on the hub, `organisation/model`; None if the text is not such a name."""
    name = source.removeprefix(PREFIX)
    return name if _NAME.fullmatch(name) else None


def is_out_of_reach(source: str) -> bool:
    """Whether a model can only be read from the cache, since the hub does not answer.

    The libraries that load models try each file again and again, for half a minute in all; this
    asks the hub once.

    Args:
        source: a name on the hub, or a folder, for which nothing is asked.

    Raises:
        ConfigError: huggingface_hub is not installed.
    """
    if Path(source).exists() or ("/" in source and hub_name(source) is None):
        return False  # a path; old models on the hub have names without an organisation
    try:
        from huggingface_hub import constants, get_session
    except ImportError as error:
        raise ConfigError(_needs_package(source)) from error
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # of httpx or of httpx2, depending on the version of huggingface_hub
        return True
    return False


def download(name: str, revision: str | None = None) -> Path:
    """Download a model's files, unless they are in the cache; returns their folder.

    Args:
        name: name on the hub, `organisation/model`.
        revision: a branch, tag or commit; by default the main branch.

    Raises:
        ConfigError: huggingface_hub is not installed.
        DataError: there is no such model, or the hub cannot be reached.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise ConfigError(_needs_package(name)) from error
    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(FILES), etag_timeout=SECONDS
            )
        )
    except RevisionNotFoundError as error:
        raise DataError(f"{name}: there is no revision {revision} on the hub") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise DataError(
            f"{name}: neither a folder here nor a model on the Hugging Face hub; log in with "
            "`hf auth login` if it is private"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise DataError(
            f"{name}: no such folder here, and the Hugging Face hub cannot be reached "
            f"({_reason(error)}); check the path or the network connection"
        ) from error


def _needs_package(name: str) -> str:
    return (
        f"{name}: models from the hub need huggingface_hub; pip install 'hgan[train]' or "
        "pip install huggingface_hub"
    )


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]
