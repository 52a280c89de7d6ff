"""Load a model: the bundle that ships with hgan, a folder, or a model on the Hugging Face hub."""

from importlib.util import find_spec
from pathlib import Path

from hgan.errors import ConfigError, DataError
from hgan.hub import PREFIX, download, hub_name
from hgan.runtime.bundle import Bundle
from hgan.runtime.explain import Explanation
from hgan.runtime.images import PhotoSource
from hgan.runtime.model import Model


def load(source: str | Path | None = None, *, revision: str | None = None) -> Model:
    """Load a model that encodes photos and texts.

    ONNX Runtime runs a bundle, torch runs a checkpoint; both have the same methods and results.

    Args:
        source: the folder of a bundle (from `hgan export`) or of a checkpoint (from `hgan train`),
            or a name on the Hugging Face hub, `organisation/model`; by default the bundle that
            ships with hgan.
        revision: branch, tag or commit of a model on the hub.

    Raises:
        DataError: there is no model of this name, or the hub cannot be reached.
        BundleError: the bundle is damaged.
        ConfigError: a package that the model needs is not installed.
    """
    if source is None:
        return Bundle.load()
    if isinstance(source, Model):
        return source
    if not isinstance(source, str | Path):
        raise DataError(
            f"source must be a folder or a name on the hub, not {type(source).__name__}"
        )
    folder = Path(source)
    name = hub_name(source) if isinstance(source, str) else None
    if name is not None and (not folder.exists() or str(source).startswith(PREFIX)):
        folder = download(name, revision)
    if (folder / "image.onnx").is_file():
        return Bundle.load(folder)
    if (folder / "model.safetensors").is_file():
        return _load_checkpoint(folder)
    raise DataError(f"{source}: {_problem(folder)}")


def explain(photo: PhotoSource, text: str, model: Model | str | Path | None = None) -> Explanation:
    """Explain the similarity of a photo to a text; see `Model.explain`.

    Args:
        photo: a path, bytes, a PIL image or a uint8 array.
        text: one text.
        model: the model, or the argument of `load` for it.
    """
    return (model if isinstance(model, Model) else load(model)).explain(photo, text)


def _load_checkpoint(folder: Path) -> Model:
    if find_spec("torch") is None:
        raise ConfigError(
            f"{folder}: is a checkpoint, which needs torch: pip install 'hgan[train]'; or export "
            "it with `hgan export` on a machine with torch, and load the bundle"
        )
    from hgan.pretrained import HGAN

    return HGAN.from_pretrained(folder)


def _problem(folder: Path) -> str:
    """Describe why there is no model in a folder, and what to do."""
    if not folder.exists():
        return (
            "no such folder, and not a name on the hub; pass the folder of a bundle or a "
            "checkpoint, or organisation/model"
        )
    if folder.is_file():
        return "is a file; pass the folder that contains it"
    if (folder / "index.json").is_file():
        return "is an index, not a model; open it with hgan.open_index"
    for depth in ("", "*/", "*/*/"):  # a run, a folder of seeds, a folder of systems
        for file in folder.glob(f"{depth}best/model.safetensors"):
            return f"contains runs, not a model; pass a checkpoint in it, such as {file.parent}"
    return (
        "no model here: neither image.onnx (a bundle, from `hgan export`) nor model.safetensors "
        "(a checkpoint, from `hgan train`)"
    )
