"""Metadata as payload: tags of users separate from those of the file, and older payloads."""

from dataclasses import replace

import pytest

from hgan.index.points import is_same
from hgan.index.store.contract import Entry
from hgan.index.store.payload import to_entry, to_payload
from hgan.sources.types import Photo

PLAIN = Entry("a/b.jpg", 1, 2, "d", file_tags=("sea", "sun"))


def test_filters_see_all_tags_in_one_field() -> None:
    entry = Entry("a/b.jpg", 1, 2, "d", file_tags=("sea", "sun"), user_tags=("mine", "sea"))
    payload = to_payload(entry)
    assert payload["tags"] == ["sea", "sun", "mine"]
    assert (payload["file_tags"], payload["user_tags"]) == (["sea", "sun"], ["mine", "sea"])
    assert to_entry(payload) == entry
    assert entry.tags == ("sea", "sun", "mine")


def test_what_is_unknown_is_not_in_the_payload() -> None:
    assert to_payload(PLAIN) == {
        "path": "a/b.jpg",
        "size": 1,
        "mtime": 2,
        "digest": "d",
        "folders": ["a"],
        "tags": ["sea", "sun"],
        "name_words": ["b"],
    }
    assert to_entry(to_payload(PLAIN)) == PLAIN


def test_metadata_is_stored_under_the_names_that_filters_use() -> None:
    entry = Entry(
        "a/Bel\u00e9m-2023_IMG 7.jpg",
        1,
        2,
        "d",
        rating=0,
        people=("ana maria",),
        city="S\u00e3o Paulo",
        country="Brazil",
        country_code="BR",
        position=(-23.5, -46.625),
        file_time=True,
        width=4,
        height=3,
        fingerprint="0f" * 32,
    )
    payload = to_payload(entry)
    assert payload["rating"] == 0
    assert payload["people"] == ["ana maria"]
    assert payload["places"] == ["s\u00e3o paulo", "brazil", "br", "sao paulo"]
    assert (payload["city"], payload["country"]) == ("S\u00e3o Paulo", "Brazil")
    assert payload["geo"] == {"lat": -23.5, "lon": -46.625}
    whole = "bel\u00e9m-2023_img 7"
    assert payload["name_words"] == ["bel\u00e9m", "2023", "img", "7", whole]
    assert payload["file_time"] is True
    assert (payload["width"], payload["height"]) == (4, 3)
    assert to_entry(payload) == entry


def test_a_text_has_no_name_and_stays_as_it_is() -> None:
    entry = Entry("a.jpg", 1, 0, "d", text="a dog")
    assert "name_words" not in to_payload(entry)
    assert to_entry(to_payload(entry)) == entry


@pytest.mark.parametrize("lacking", [("name_words",), ("name_words", "tags")])
def test_a_photo_of_an_older_version_counts_as_changed(lacking: tuple[str, ...]) -> None:
    """That of version 4 lacks name words, and that of version 1 also time, camera and tags."""
    payload = to_payload(replace(PLAIN, etag="e"))
    for name in lacking:
        del payload[name]
    tags = PLAIN.file_tags if "tags" in payload else ()
    old = to_entry(payload)
    assert old == Entry("a/b.jpg", 1, 0, "d", file_tags=tags)
    assert not is_same(Photo("a/b.jpg", 1, 2), old)
    assert not is_same(Photo("a/b.jpg", 1, 2, "e"), old)
