"""Write a torch network as one ONNX file, its batch and sequence axes free."""

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
        network: put into evaluation mode, and left in it.
        inputs: an example of each input, in order.
        free: names of each input's leading axes whose length is free.
        outputs: names of the outputs.
        path: the ONNX file; weights are inside it.
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
    network.eval()  # the exporter puts back the training mode it found before the first line
