"""Load a model: the bundle that ships with hgan, a folder, or a model on the Hugging Face hub."""

import hashlib
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from hgan.errors import BundleError, ConfigError, DataError
from hgan.hub import PREFIX, HubModel, download, hub_name
from hgan.locations import cache_folder
from hgan.progress import console
from hgan.runtime.bundle import Bundle
from hgan.runtime.bundle_config import FORMAT_VERSION
from hgan.runtime.explain import Explanation
from hgan.runtime.images import PhotoSource
from hgan.runtime.model import Model


def load(source: str | Path | None = None, *, revision: str | None = None) -> Model:
    """Load a model that encodes photos and texts.

    ONNX Runtime runs a bundle, torch runs a checkpoint; both have the same methods and results. A
    dual encoder such as CLIP is exported into the cache, once; see `load_bundle`.

    Args:
        source: the folder of a bundle (from `hgan export`), of a checkpoint (from `hgan train`) or
            of a dual encoder of Hugging Face, or a name on the Hugging Face hub,
            `organisation/model`; by default the bundle that ships with hgan.
        revision: branch, tag or commit of a model on the hub.

    Raises:
        DataError: there is no model of this name, or the hub cannot be reached.
        BundleError: the bundle is damaged.
        ConfigError: a package that the model needs is not installed, or the model is of a class
            that is not supported.
    """
    if source is None:
        return Bundle.load()
    if isinstance(source, Model):
        return source
    found = _find(source, revision)
    if isinstance(found, Bundle):
        return found
    if found.kind == "checkpoint":
        return _load_checkpoint(found.folder or download(found.name, revision))
    return _exported(found)


def load_bundle(source: str | Path | Bundle | None = None, revision: str | None = None) -> Bundle:
    """Load a model that ONNX Runtime runs, as an index needs it.

    A model that is not a bundle is exported into the cache (`hgan.locations.cache_folder`), which
    needs torch. The next time, the exported bundle is used, without torch and without a network.

    Args:
        source: see `load`.
        revision: branch, tag or commit of a model on the hub.

    Raises:
        DataError, BundleError, ConfigError: see `load`.
    """
    if source is None:
        return Bundle.load()
    if isinstance(source, Bundle):
        return source
    found = _find(source, revision)
    return found if isinstance(found, Bundle) else _exported(found)


def explain(photo: PhotoSource, text: str, model: Model | str | Path | None = None) -> Explanation:
    """Explain the similarity of a photo to a text; see `Model.explain`.

    Args:
        photo: a path, bytes, a PIL image or a uint8 array.
        text: one text.
        model: the model, or the argument of `load` for it.
    """
    return (model if isinstance(model, Model) else load(model)).explain(photo, text)


def _find(source: str | Path, revision: str | None) -> Bundle | HubModel:
    """The bundle that `source` names, or the model that must be exported or run by torch."""
    if not isinstance(source, str | Path):
        raise DataError(
            f"source must be a folder or a name on the hub, not {type(source).__name__}"
        )
    folder = Path(source)
    name = hub_name(source) if isinstance(source, str) else None
    if name is not None and (not folder.exists() or str(source).startswith(PREFIX)):
        model = HubModel(name, revision=revision)
        if (cached := _cached(model)) is not None:
            return cached
        if model.kind == "bundle":
            return Bundle.load(download(name, revision))
        return model
    if (folder / "image.onnx").is_file():
        return Bundle.load(folder)
    model = HubModel(folder.resolve().name, folder)
    if (folder / "model.safetensors").is_file() or model.kind == "dual encoder":
        return model
    raise DataError(f"{source}: {_problem(folder)}")


def _exported(model: HubModel) -> Bundle:
    """The bundle of a model in the cache, which is exported unless it is there."""
    if (cached := _cached(model)) is not None:
        return cached
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ConfigError(
            f"{model.source}: has to be exported once, which needs torch: pip install "
            "'hgan[train]'; or export it with `hgan export` on a machine with torch, and pass the "
            "folder of the bundle"
        )
    from hgan.export.model import export_model

    place = _place(model)
    console.print(f"exporting {model.source} to {place}, once", markup=False)
    return Bundle.load(export_model(model, place))


def _cached(model: HubModel) -> Bundle | None:
    """The bundle of a model in the cache; None if it is not there, or damaged."""
    with suppress(BundleError):
        return Bundle.load(_place(model))
    return None


def _place(model: HubModel) -> Path:
    """The folder of a model in the cache. For a model in a folder, it is another one if a file of
    the model has changed."""
    if model.folder is None:
        key = model.revision or "main"
    else:
        files = sorted(path for path in model.folder.iterdir() if path.is_file())
        seen = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        key = hashlib.sha256(repr((str(model.folder.resolve()), seen)).encode()).hexdigest()[:12]
    name = re.sub(r"[^\w.@-]+", "--", f"{model.name}@{key}")
    return cache_folder() / "models" / f"{name}-{FORMAT_VERSION}"


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
        "(a checkpoint, from `hgan train`, or a dual encoder of Hugging Face)"
    )
