"""Compare the settings that a run's folder holds with those that are asked for."""

from dataclasses import asdict, fields, is_dataclass
from typing import Any

from hgan.files import jsonable
from hgan.training.config import CHOSEN, Config

OLD_NAME = {"kind": "name"}
"""Keys of a section that older versions of hgan wrote, and what they are called now."""


def other_settings(found: dict[str, Any], config: Config) -> list[str]:
    """What differs, as `section.key: value there, value asked`.

    A setting that the folder does not have did not exist when it was written: it had the value
    that is the default today. Settings of other matchers and losses, which older versions of hgan
    wrote too, are left out. Where the folder's run goes and its seed are not compared.

    Args:
        found: the settings as JSON values, of this or an older version of hgan.
        config: what is asked for.
    """
    other = []
    for section in (f.name for f in fields(config)):
        settings = getattr(config, section)
        if not is_dataclass(settings):
            continue
        asked = jsonable(asdict(settings))  # type: ignore[arg-type]
        there = upgrade_section(section, found.get(section, {}))
        if there.get("name", asked.get("name")) != asked.get("name"):
            other.append(f"{section}.name: {there['name']} there, {asked['name']} asked")
            continue
        default: Any = type(settings)
        there = jsonable(asdict(default())) | there
        other += [
            f"{section}.{key}: {there.get(key)} there, {asked.get(key)} asked"
            for key in sorted(there | asked)
            if there.get(key) != asked.get(key)
        ]
    return other


def upgrade_section(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """A section as today's version writes it: today's names, and only its own class's keys.

    Older versions wrote the settings of all matchers and all losses, whichever was used.
    """
    values = {OLD_NAME.get(key, key): value for key, value in values.items()}
    name = values.get("name", "")
    if section not in CHOSEN or name not in CHOSEN[section][0]:
        return values
    registry, _ = CHOSEN[section]
    foreign = {key for other in registry for key in registry.keys(other)}
    foreign -= set(registry.keys(name))
    return {key: value for key, value in values.items() if key not in foreign}
