"""Conditions in words, for people: `near Lisbon, 20 km`, `4 stars or more`, `not camera canon`."""

from hgan.index.conditions.periods import write_period
from hgan.index.conditions.types import (
    MOST_STARS,
    And,
    Camera,
    Condition,
    Folder,
    Has,
    In,
    Name,
    Near,
    Not,
    Or,
    Person,
    Place,
    Rating,
    Tag,
    Taken,
)


def spoken(condition: Condition) -> str:
    """A condition in words."""
    match condition:
        case And(parts):
            return " and ".join(map(_inside, parts))
        case Or(parts):
            return " or ".join(map(_inside, parts))
        case Not(part):
            return f"not {_inside(part)}"
        case Taken(start, end):
            return f"taken {_period(start, end)}"
        case Rating(least, most):
            return _stars(least, most)
        case Near(place, km):
            return f"near {place}, {km:g} km"
        case Folder(path):
            return f"folder {path or '.'}"
        case In(name):
            return f"in {name}"
        case Camera(words):
            return f"camera {' '.join(words)}"
        case Name(words):
            return f"named {' '.join(words)}"
        case Tag(name):
            return f"#{name}"
        case Person(name):
            return f"with {name}"
        case Place(name):
            return f"place {name}"
        case Has(field):
            return f"has {field}"


def _inside(part: Condition) -> str:
    return f"({spoken(part)})" if isinstance(part, And | Or) else spoken(part)


def _period(start: int | None, end: int | None) -> str:
    first, dots, last = write_period(start, end).partition("..")
    if not dots:
        return first
    if not last:
        return f"from {first}"
    return f"{first} to {last}" if first else f"until {last}"


def _stars(least: int, most: int) -> str:
    if least == most:
        return f"{least} star{'' if least == 1 else 's'}"
    if most == MOST_STARS:
        return f"{least} star{'' if least == 1 else 's'} or more"
    return f"{least} to {most} stars"
