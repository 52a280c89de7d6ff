"""Plug-ins: Python files outside the package that register matchers and losses."""

import importlib.util
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from hgan.errors import ConfigError


def load_plugins(files: Sequence[Path | str]) -> None:
    """Run each file once, so that the settings can use its matchers and losses.

    Only files named by the user are run; a checkpoint cannot name one.

    Raises:
        ConfigError: a file is missing, or fails when it is run.
    """
    for file in files:
        _load(Path(file).resolve())


def _load(file: Path) -> None:
    name = f"hgan_plugin_{file.stem}_{sha256(str(file).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    if file.suffix != ".py" or not file.is_file():
        raise ConfigError(f"{file}: no such Python file; check --plugin")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses need their module there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{file}: the plug-in failed ({reason})") from error
