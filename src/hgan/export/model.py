"""Export any supported model as a bundle: a checkpoint of `hgan train`, or a dual encoder."""

from collections.abc import Sequence
from pathlib import Path

from hgan.errors import ConfigError
from hgan.export.bundle import export
from hgan.hub import HubModel, download
from hgan.model.io import checkpoint_of


def export_model(
    source: HubModel, folder: Path, compact_weights: bool = False, texts: Sequence[str] = ()
) -> Path:
    """Export a model as a bundle, which the runtime reads without torch.

    Args:
        source: a checkpoint or the folder of a run, see `hgan.export.bundle.export`; or a dual
            encoder, see `hgan.export.dual_encoder.export_dual_encoder`.
        folder: folder of the bundle; it is created, or replaced if it exists.
        compact_weights: store weights as int8 and float16; computation is in float32.
        texts: captions, for checkpoints with pretrained text layers.

    Raises:
        DataError: the model is missing or damaged, or the hub cannot be reached.
        ConfigError: the model cannot be exported.
    """
    kind = source.kind
    if kind == "bundle":
        raise ConfigError(f"{source.source}: is a bundle already; it can be used as it is")
    if kind == "checkpoint":
        found = checkpoint_of(source.folder or download(source.name, source.revision))
        return export(found, folder, compact_weights, texts)
    # Imported here, since transformers takes seconds to import.
    from hgan.export.dual_encoder import export_dual_encoder

    return export_dual_encoder(source, folder, compact_weights)
