"""Compare the settings stored in the folder of a run with those of a config."""

from dataclasses import asdict, fields, is_dataclass
from typing import Any

from hgan.config import OLD_KEYS
from hgan.files import jsonable
from hgan.training.config import CHOSEN, Config

FREE = {"optim": {"chunk_images"}}
"""Settings that change the memory of a run and not its results, so that they can differ."""


def other_settings(found: dict[str, Any], config: Config) -> list[str]:
    """Differences, as `section.key: value in the folder, value in the config`.

    A setting that is missing in the folder did not exist in the version that wrote it, so its value
    is the current default. Settings of other matchers and losses, which older versions also wrote,
    are ignored. `run` and `seed` are not compared.

    Args:
        found: the settings in the folder as JSON values, of this or an older version of hgan.
        config: the settings to compare with.
    """
    other = []
    for section in (f.name for f in fields(config)):
        settings = getattr(config, section)
        if not is_dataclass(settings):
            continue
        new = jsonable(asdict(settings))  # type: ignore[arg-type]
        old = upgrade_section(section, found.get(section, {}))
        keys = ["name"]
        if old.get("name", new.get("name")) == new.get("name"):
            default: Any = type(settings)
            old = jsonable(asdict(default())) | old
            keys = sorted(old | new)
        other += [
            f"{section}.{key}: {old.get(key)} in the folder, {new.get(key)} in the config"
            for key in keys
            if key not in FREE.get(section, ()) and old.get(key) != new.get(key)
        ]
    return other


def upgrade_section(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """Convert a section to the current format: with the new names and only the keys of its class.

    Older versions wrote the settings of all matchers and losses, not only of the chosen ones.
    """
    values = {OLD_KEYS.get(key, key): value for key, value in values.items()}
    name = values.get("name", "")
    if section not in CHOSEN or name not in CHOSEN[section][0]:
        return values
    registry, _ = CHOSEN[section]
    foreign = {key for other in registry for key in registry.keys(other)}
    foreign -= set(registry.keys(name))
    return {key: value for key, value in values.items() if key not in foreign}
