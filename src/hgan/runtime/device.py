"""The device that runs the image tower of a bundle: which execution provider of ONNX Runtime.

One setting for the whole process, $HGAN_DEVICE, which the option --device sets. The text tower
always runs on the processor: queries arrive one at a time, and its 8-bit operators have no kernels
elsewhere.
"""

import os

from hgan.errors import ConfigError

VARIABLE = "HGAN_DEVICE"
"""Environment variable with the name of the device."""
CPU = "cpu"
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "MIGraphXExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    CPU: "CPUExecutionProvider",
}
"""Execution provider of each device, by its name."""
PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "rocm": "onnxruntime-migraphx",
    "coreml": "onnxruntime",
    "directml": "onnxruntime-directml",
    "openvino": "onnxruntime-openvino",
}
"""The build of ONNX Runtime that has the provider; it replaces the package `onnxruntime`."""
AUTO = ("cuda",)
"""Devices that are used without being named. TensorRT and CoreML are not, since they compile a
model for up to minutes; nor is OpenVINO, which is not faster on a processor (docs/devices.md)."""


def named_device() -> str:
    """The device that $HGAN_DEVICE names, such as `cuda` or `cuda:1`; `auto` if it is not set.

    Raises:
        ConfigError: there is no such device, or ONNX Runtime is not built for it.
    """
    name = os.environ.get(VARIABLE, "").strip().lower() or "auto"
    kind, colon, number = name.partition(":")
    if name == "auto":
        return name
    if kind not in PROVIDERS or (colon and not number.isdecimal()):
        raise ConfigError(f"{VARIABLE}: {name}, but it must be auto, {', '.join(PROVIDERS)}")
    if PROVIDERS[kind] not in installed_providers():
        raise ConfigError(
            f"{VARIABLE}: {name}, but the installed ONNX Runtime has no {PROVIDERS[kind]}; "
            f"{advice(kind)}"
        )
    return name


def advice(kind: str) -> str:
    """How to install what a device needs."""
    package = PACKAGES[kind]
    if package == "onnxruntime":
        return "only its build for macOS has it"
    return f"pip uninstall onnxruntime && pip install {package}"


def installed_providers() -> list[str]:
    """The execution providers that the installed ONNX Runtime is built with."""
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def candidates(name: str) -> list[str]:
    """The devices to try for a name, in this order; the processor is the last one for `auto`."""
    if name != "auto":
        return [name]
    installed = installed_providers()
    return [kind for kind in AUTO if PROVIDERS[kind] in installed] + [CPU]


def provider_of(device: str) -> tuple[str, dict[str, str]]:
    """The execution provider of a device, and its options."""
    kind, _, number = device.partition(":")
    return PROVIDERS[kind], {"device_id": number} if number else {}
