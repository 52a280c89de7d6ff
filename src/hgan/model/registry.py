"""Registries of classes by name: matchers (`model.name`) and losses (`loss.name`).

A class registers itself when its file is imported.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any, Generic, TypeVar

from hgan.config import Section
from hgan.errors import ConfigError

Kind = TypeVar("Kind")
Class = TypeVar("Class", bound=type[Any])


class Registry(Generic[Kind]):
    """The classes that one section of the settings can name.

    A class has a `Config`, the dataclass of its settings. The default of `Config.name` is the name
    of the class in the registry.

    Args:
        section: the section's key in the YAML file.
    """

    def __init__(self, section: str) -> None:
        self.section = section
        self._classes: dict[str, type[Kind]] = {}

    def register(self, cls: Class) -> Class:
        """Register a class (decorator).

        Raises:
            ConfigError: a class with this name is already registered.
        """
        name: str = cls.Config.name
        if (other := self._classes.get(name)) is not None:
            raise ConfigError(
                f"{self.section}.name {name!r} is registered twice, by {other.__module__} and by "
                f"{cls.__module__}; rename one of them"
            )
        self._classes[name] = cls
        return cls

    def __contains__(self, name: str) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def find(self, name: str) -> type[Kind]:
        """The class with this name.

        Raises:
            ConfigError: no class with this name is registered.
        """
        if name not in self._classes:
            raise ConfigError(
                f"{self.section}.name: {name!r} is unknown; choose one of {', '.join(self)}, or "
                "name the file that defines it with --plugin FILE.py"
            )
        return self._classes[name]

    def settings(self, name: str) -> type[Section]:
        """The dataclass with the settings of a class."""
        found: type[Section] = self.find(name).Config  # type: ignore[attr-defined]
        return found

    def keys(self, name: str) -> list[str]:
        """The keys of the settings of a class."""
        return [f.name for f in fields(self.settings(name))]  # type: ignore[arg-type]

    def owners(self, key: str) -> list[str]:
        """Names of the classes that have a setting with this key."""
        return [name for name in self if key in self.keys(name)]


def import_all(package: str, path: Iterable[str]) -> None:
    """Import all modules of a package, so that their classes are registered."""
    for module in pkgutil.iter_modules(list(path), f"{package}."):
        importlib.import_module(module.name)
