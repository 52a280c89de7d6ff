"""Put a run on its device, with its precision."""

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from hgan.torch_device import torch_device
from hgan.training.config import Config


def make_accelerator(config: Config) -> Accelerator:
    """What puts the run on its device, with its precision."""
    # It keeps the precision and the device of earlier runs in this process.
    AcceleratorState._reset_state(reset_partial_state=True)
    device = torch_device()
    if device.index is not None:  # one of several; Accelerate takes the first otherwise
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    return Accelerator(mixed_precision=precision(config), cpu=device.type == "cpu")


def precision(config: Config) -> str:
    """Use bf16 only if the hardware has matrix units for it: on a CPU without them (emulated, or
    with AVX-512 BF16), it takes twice as long as float32."""
    cpu = torch_device().type == "cpu"
    fast = torch.cpu._is_amx_tile_supported() if cpu else torch.cuda.is_available()
    return config.optim.precision if fast else "no"
