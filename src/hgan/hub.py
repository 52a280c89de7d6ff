"""Models on the Hugging Face hub: recognise their names, and download their files."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from hgan.errors import ConfigError, DataError
from hgan.files import parse_json

PREFIX = "hf-hub:"
FILES = ("*.json", "*.onnx", "*.onnx.data", "*.safetensors", "README.md")
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

Kind = Literal["bundle", "checkpoint", "dual encoder"]
"""A bundle of `hgan export`, a checkpoint of `hgan train`, or a model of Hugging Face, of which
dual encoders can be exported."""

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
    with explained(name, revision):
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(FILES),
                etag_timeout=SECONDS,
                local_files_only=is_out_of_reach(name),
            )
        )


@dataclass(frozen=True)
class HubModel:
    """The files of a model, on the hub or in a folder, which are read one by one.

    Attributes:
        name: name on the hub, or the name of the folder.
        folder: the folder; None for a model on the hub.
        revision: a branch, tag or commit on the hub.
    """

    name: str
    folder: Path | None = None
    revision: str | None = None

    @classmethod
    def find(cls, source: str | Path, revision: str | None = None) -> "HubModel":
        """The model with this name on the hub, or in this folder, which is preferred.

        Raises:
            DataError: there is no such folder, and the text is not a name on the hub.
        """
        folder = Path(source)
        name = hub_name(source) if isinstance(source, str) else None
        if name is not None and (str(source).startswith(PREFIX) or not folder.exists()):
            return cls(name, revision=revision)
        if not folder.is_dir():
            raise DataError(
                f"{source}: no such folder, and not a name on the hub, organisation/model"
            )
        return cls(folder.resolve().name, folder)

    @property
    def source(self) -> str:
        """The argument of `from_pretrained` of Hugging Face classes."""
        return self.name if self.folder is None else str(self.folder)

    @cached_property
    def is_offline(self) -> bool:
        """Whether the files of a model on the hub can only be read from the cache.

        Raises:
            ConfigError: huggingface_hub is not installed.
        """
        return self.folder is None and is_out_of_reach(self.name)

    def file(self, name: str) -> Path | None:
        """A file of the model, which is downloaded unless it is in the cache; None if the model has
        no such file.

        Raises:
            ConfigError: huggingface_hub is not installed.
            DataError: there is no such model, or the hub cannot be reached.
        """
        if self.folder is not None:
            path = self.folder / name
            return path if path.is_file() else None
        with explained(self.name, self.revision):
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

            try:
                found = hf_hub_download(
                    self.name,
                    name,
                    revision=self.revision,
                    etag_timeout=SECONDS,
                    local_files_only=self.is_offline,
                )
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                return None
            return Path(found)

    def json(self, name: str) -> dict[str, Any] | None:
        """The content of a JSON file of the model; None if the model has no such file.

        Raises:
            DataError: the file is not a JSON object, or see `file`.
        """
        path = self.file(name)
        if path is None:
            return None
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.source}: {name} cannot be read ({error})") from error
        if not isinstance(values, dict):
            raise DataError(f"{self.source}: {name} is not a JSON object")
        return values

    @property
    def kind(self) -> Kind:
        """What the model is, by its `config.json`; a folder without one counts as a checkpoint.

        Raises:
            DataError: see `json`.
        """
        values = self.json("config.json") or {}
        if "model_type" in values:
            return "dual encoder"
        return "bundle" if "files" in values else "checkpoint"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`.

        Raises:
            DataError: the model has no such file, or see `json`.
        """
        values = self.json("config.json")
        if values is None:
            raise DataError(f"{self.source}: no model here (config.json is missing)")
        return values


@contextmanager
def explained(name: str, revision: str | None, what: str = "model") -> Iterator[None]:
    """Turn errors of huggingface_hub into errors that say what to do.

    Args:
        name: name on the hub.
        revision: a branch, tag or commit.
        what: what it is the name of.

    Raises:
        ConfigError: huggingface_hub is not installed.
        DataError: see the errors of huggingface_hub.
    """
    try:
        import huggingface_hub  # noqa: F401  # its errors alone may have been imported
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError as error:
        raise ConfigError(_needs_package(name, what)) from error
    try:
        yield
    except RevisionNotFoundError as error:
        raise DataError(f"{name}: there is no revision {revision} on the hub") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise DataError(
            f"{name}: neither a folder here nor a {what} on the Hugging Face hub; log in with "
            "`hf auth login` if it is private"
        ) from error
    except LocalEntryNotFoundError as error:
        text = OUT_OF_REACH.replace("model", what)
        raise DataError(f"{name}: no such folder here; {text}") from error
    except (HfHubHTTPError, OSError) as error:
        raise DataError(
            f"{name}: no such folder here, and the Hugging Face hub cannot be reached "
            f"({_reason(error)}); check the path or the network connection"
        ) from error


def _needs_package(name: str, what: str = "model") -> str:
    return (
        f"{name}: a {what} from the hub needs huggingface_hub; pip install 'hgan[train]' or "
        "pip install huggingface_hub"
    )


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]
