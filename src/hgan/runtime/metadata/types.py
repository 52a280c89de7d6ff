"""The metadata of a photo, and how those of several places are joined."""

from collections.abc import Iterable
from dataclasses import dataclass

from hgan.runtime.metadata.text import clean_tags


@dataclass(frozen=True)
class Metadata:
    """A photo's metadata; missing values are None or empty."""

    taken: int | None = None
    """Time the photo was taken, in seconds since 1970 by the camera's clock."""
    camera: str = ""
    """Make and model of the camera."""
    tags: tuple[str, ...] = ()
    """Keywords in lower case."""
    people: tuple[str, ...] = ()
    """Names of the people in the photo, in lower case."""
    rating: int | None = None
    """Stars, 0 to 5; a rejected photo has 0."""
    position: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""
    width: int = 0
    """Width of the upright photo in pixels."""
    height: int = 0
    """Height of the upright photo in pixels."""


def joined(found: Iterable[Metadata]) -> Metadata:
    """The metadata of one photo from several places: of each value, that of the first place which
    has one; and the tags and people of all of them."""
    places = list(found)
    whole = next((place for place in places if place.width), Metadata())
    return Metadata(
        taken=next((place.taken for place in places if place.taken is not None), None),
        camera=next((place.camera for place in places if place.camera), ""),
        tags=clean_tags(tag for place in places for tag in place.tags),
        people=clean_tags(name for place in places for name in place.people),
        rating=next((place.rating for place in places if place.rating is not None), None),
        position=next((place.position for place in places if place.position is not None), None),
        width=whole.width,
        height=whole.height,
    )
