"""Classes by the name that a configuration gives them: matchers in `model.name`, losses in
`loss.name`. A class registers itself when its file is imported.
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
    """The classes that one section of the settings can choose from.

    A class has a `Config`, the dataclass of its settings, whose `name` is by default the name that
    the class is registered under.

    Args:
        section: the section's key in the YAML file.
    """

    def __init__(self, section: str) -> None:
        self.section = section
        self._classes: dict[str, type[Kind]] = {}

    def register(self, cls: Class) -> Class:
        """Add a class; a decorator.

        Raises:
            ConfigError: another class has its name.
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
        """The class of a name.

        Raises:
            ConfigError: no class has it.
        """
        if name not in self._classes:
            raise ConfigError(
                f"{self.section}.name: {name!r} is not known, only {', '.join(self)}; "
                "a file that defines another one is given with --plugin FILE.py"
            )
        return self._classes[name]

    def settings(self, name: str) -> type[Section]:
        """The dataclass of a class's settings."""
        found: type[Section] = self.find(name).Config  # type: ignore[attr-defined]
        return found

    def keys(self, name: str) -> list[str]:
        """The keys of a class's settings."""
        return [f.name for f in fields(self.settings(name))]  # type: ignore[arg-type]

    def owners(self, key: str) -> list[str]:
        """Names of the classes that have a setting of this key."""
        return [name for name in self if key in self.keys(name)]


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that its classes register themselves."""
    for module in pkgutil.iter_modules(list(path), f"{package}."):
        importlib.import_module(module.name)
