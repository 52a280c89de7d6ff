"""Put a run on its device, with its precision; one of several processes on its own device."""

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from hgan.errors import ConfigError
from hgan.torch_device import torch_device
from hgan.training.config import Config

_KNOWN = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def make_accelerator(config: Config) -> Accelerator:
    """What puts the run on its device, with its precision; of several processes, `join` first.

    Raises:
        ConfigError: accelerate's configuration asks for more than processes with the whole model.
    """
    # It keeps the precision and the device of earlier runs in this process.
    AcceleratorState._reset_state(reset_partial_state=True)
    device = torch_device()
    if device.index is not None:  # one of several; Accelerate takes the first otherwise
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    made = Accelerator(
        mixed_precision=precision(config),
        cpu=device.type == "cpu",
        # A step of the schedule is one of the run, whatever the number of processes.
        step_scheduler_with_optimizer=False,
    )
    if made.distributed_type not in _KNOWN:
        raise ConfigError(
            f"accelerate's configuration asks for {made.distributed_type.value}, but each process "
            "holds the whole model here; choose multi-GPU in `accelerate config`, or start with "
            "--multi_gpu"
        )
    made.gradient_accumulation_steps = config.optim.accumulate  # not accelerate's own setting
    return made


def precision(config: Config) -> str:
    """Use bf16 only if the hardware has matrix units for it: on a CPU without them (emulated, or
    with AVX-512 BF16), it takes twice as long as float32."""
    cpu = torch_device().type == "cpu"
    fast = torch.cpu._is_amx_tile_supported() if cpu else torch.cuda.is_available()
    return config.optim.precision if fast else "no"
