"""Export a torch network as one ONNX file with dynamic batch and sequence axes.

This is not in `hgan.export`, since extraction also runs backbones with ONNX Runtime, and `vision`
must not import `export`.
"""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn


def export_onnx(
    network: nn.Module,
    inputs: dict[str, Tensor],
    free: dict[str, tuple[str, ...]],
    outputs: list[str],
    path: Path,
    external_data: bool = False,
) -> None:
    """Export a network.

    Args:
        network: the network; it is switched to evaluation mode.
        inputs: an example of each input, in order.
        free: for each input, the names of its leading axes that are dynamic.
        outputs: names of the outputs.
        path: the ONNX file, which also contains the weights.
        external_data: write the weights to a file of their own, with `.data` after the name, as
            they must be for networks of more than 2 GB.
    """
    network.eval()
    axes = {name: torch.export.Dim(name) for names in free.values() for name in names}
    shapes = tuple({i: axes[axis] for i, axis in enumerate(names)} for names in free.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=external_data,
            verbose=False,
        )
    network.eval()  # the exporter restores the training mode
    _remove_source_paths(path)


def _remove_source_paths(path: Path) -> None:
    """Remove the stack trace that the exporter keeps of each node: it has paths of this machine."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    onnx.save(model, path)
