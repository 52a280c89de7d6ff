"""Evaluate checkpoints and bundles on captions, and store the evaluation record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import find_photos, read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.types import Features
from hgan.errors import ConfigError, DataError
from hgan.evaluation.bundles import bundle_member
from hgan.evaluation.protocols import check_protocols, measure
from hgan.evaluation.record import Described, make_record, save_record
from hgan.evaluation.scoring import Member, Scores, encode
from hgan.files import parse_json
from hgan.launch import join
from hgan.model.io import TrainedModel, checkpoint_of, load_checkpoint
from hgan.model.photos import backbone_for
from hgan.processes import Processes
from hgan.progress import progress
from hgan.runtime.bundle import Bundle
from hgan.torch_device import torch_device
from hgan.vision.features import features_of
from hgan.vision.photos import PhotoFeatures

Evaluated = str | Path | Bundle
"""Folder of a run, of a checkpoint or of a bundle; or a bundle."""


def evaluate_checkpoints(
    checkpoints: Evaluated | Sequence[Evaluated],
    split: str = "test",
    protocols: str | Sequence[str] = "full",
    captions: str | Path | None = None,
    features: str | Path | None = None,
    out: str | Path | None = None,
    photos: str | Path | None = None,
) -> dict[str, Any]:
    """Evaluate a model on a split, in both directions, for each level and for their sum S.
    Processes that a launcher such as `accelerate launch` has started share the work; all get the
    record, and the first writes it.

    Args:
        checkpoints: folder of a checkpoint, such as `runs/flickr8k/seed1/best`, or of a run, whose
            best checkpoint is evaluated, or of a bundle; or a bundle. With several, the mean of
            their scores is evaluated (an ensemble).
        split: split of the captions: test, val, or another name.
        protocols: one or several of `full`, `flickr30k-1k`, `coco-5k`, `coco-1k`, `eccv`, `cxc`.
        captions: caption file; by default, the one of the checkpoint's run.
        features: feature store of a checkpoint; by default, the one of the checkpoint's run, if
            it was not trained on photos in new views.
        out: folder for `SPLIT.json` and `SPLIT.npz`. By default, they are written to the folder of
            the run if there is only one checkpoint and `captions` is not given; otherwise they are
            not written.
        photos: folder of the photos, which a bundle reads, and a checkpoint in place of features.
            By default, a bundle reads `images` next to the caption file, or the folder of the
            caption file, and a checkpoint that was trained on photos those of its run.

    Returns:
        The record, as in `SPLIT.json`. `record["protocols"][protocol][level]` contains the metrics
        of a level, or of S, the weighted sum of the levels. For `full` and the other recall
        protocols, these are the fields of `hgan.evaluation.types.Metrics`
        (`["image_to_text"]["recall"]["R@1"]` in per cent, `["rsum"]`, `["tied"]`). The other keys
        contain the model, its seed and epoch, the data, and the cost of a comparison.

    Raises:
        DataError: a checkpoint, its captions or its features are missing, damaged or do not match,
            a photo cannot be read, or a protocol is for other data.
        BundleError: a bundle is damaged.
        ConfigError: a protocol is unknown, no checkpoint is given, a bundle without captions, or
            the features were extracted with another grid or size than those that the model was
            trained on; or the processes of a launch cannot work together.
        ProcessError: another process of a launch has ended.
    """
    processes = join(torch_device())
    given = _listed(checkpoints)
    if not given:
        raise ConfigError("no checkpoint is given; name a folder such as runs/NAME/best")
    own = captions is None
    protocols = [protocols] if isinstance(protocols, str) else protocols
    models = [_load(source) for source in given]
    files = [Path(captions or _captions_of(model, source)) for model, source in models]
    read = {file: read_captions(file).split(split) for file in dict.fromkeys(files)}
    chosen = _same(read)
    check_protocols(chosen, protocols)  # before encoding, which takes minutes
    members = []
    for model, folder in models:
        if isinstance(model, Bundle):
            place = find_photos(files[0]) if photos is None else Path(photos)
            members.append(bundle_member(model, chosen, place))
        else:
            store = _features(model, folder, chosen, features, photos)
            members.append(_member(model, chosen, store, processes))
    scores = Scores(members)
    measured = measure(scores, chosen, protocols, processes)
    split = chosen.splits[0] or split  # the standard name
    described = [_describe(*found) for found in models]
    record = make_record(described, files[0], split, chosen, scores, measured)
    if out is None and own and len(models) == 1:
        out = models[0][1].resolve().parent
    if out is None or not processes.is_first:
        return record
    return save_record(Path(out), record, measured)


evaluate = evaluate_checkpoints
"""The name of `evaluate_checkpoints` in the public API, `hgan.evaluate`."""


def _listed(checkpoints: Evaluated | Sequence[Evaluated]) -> list[Evaluated]:
    """One model, or several, as a list."""
    return [checkpoints] if isinstance(checkpoints, Evaluated) else list(checkpoints)


def _load(source: Evaluated) -> tuple[TrainedModel | Bundle, Path]:
    """A model, and its folder."""
    if isinstance(source, Bundle):
        return source, source.folder
    folder = Path(source)
    if (folder / "image.onnx").is_file():
        return Bundle.load(folder), folder
    folder = checkpoint_of(folder)
    return load_checkpoint(folder), folder


def _features(
    model: TrainedModel,
    folder: Path,
    captions: Captions,
    features: str | Path | None,
    photos: str | Path | None,
) -> Features:
    """What a checkpoint reads of the photos of a split: stored features, or the photos themselves
    if their folder is given, or if it was trained on them."""
    if features is None and (photos is not None or model.vision.views is None):
        place = Path(photos or _run_setting(folder, "photos"))
        return PhotoFeatures(backbone_for(model.network, model.vision), place, captions.images)
    return features_of(model.vision, Path(features or _run_setting(folder, "features")))


def _member(
    model: TrainedModel, captions: Captions, store: Features, processes: Processes
) -> Member:
    """Encode the photos and captions of a split with a checkpoint."""
    model.network.to(torch_device())
    data = Dataset(captions, store, model.tokenizer, model.text.max_words)
    with progress("encode", total=len(data.rows), unit="photos") as bar:
        return Member(model.network, *encode(model.network, data, bar, processes))


def _describe(model: TrainedModel | Bundle, folder: Path) -> Described:
    if isinstance(model, Bundle):
        weights = {level: model.weights[level] for level in model.levels}
        return Described(folder, model.name, weights, {})
    return Described(folder, model.network.config.name, model.network.weights, model.facts)


def _captions_of(model: TrainedModel | Bundle, folder: Path) -> Path:
    """The captions of the run of a checkpoint.

    Raises:
        ConfigError: the model is a bundle, which has none.
    """
    if isinstance(model, Bundle):
        raise ConfigError(f"{folder}: is a bundle, without captions of its own; name --captions")
    return _run_setting(folder, "captions")


def _same(read: dict[Path, Captions]) -> Captions:
    """The captions of the files, which must be equal in all of them."""
    (first, captions), *others = read.items()
    for file, other in others:
        if (captions.images, captions.texts) != (other.images, other.texts):
            raise DataError(
                f"{file}: its split differs from that of {first}; all models of an ensemble need "
                "the same photos and captions, which can be set with --captions"
            )
    return captions


def _run_setting(checkpoint: Path, name: str) -> Path:
    """A path from the settings of the checkpoint's run."""
    file = checkpoint.resolve().parent / "config.json"
    try:
        return Path(parse_json(file.read_text(encoding="utf-8"))["data"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{checkpoint}: not in the folder of a run, so its {name} are unknown ({file} cannot "
            f"be read); name the path with --{name}"
        ) from error
