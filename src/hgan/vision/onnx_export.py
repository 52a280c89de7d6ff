"""Write a torch network as one ONNX file with batch and sequence axes of any length.

It is here, and not in `hgan.export`, since extraction already runs backbones as ONNX: `export`
imports `vision`, never the reverse.
"""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


def export_onnx(
    network: nn.Module,
    inputs: dict[str, Tensor],
    free: dict[str, tuple[str, ...]],
    outputs: list[str],
    path: Path,
) -> None:
    """Export a network.

    Args:
        network: is put into evaluation mode, and stays in it.
        inputs: an example of each input, in order.
        free: for each input, names of its leading axes that can have any length.
        outputs: names of the outputs.
        path: the ONNX file, which also contains the weights.
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
            external_data=False,
            verbose=False,
        )
    network.eval()  # the exporter restores the training mode
