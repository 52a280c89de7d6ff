"""Metadata as payload: tags of users separate from those of the file, and older payloads."""

from hgan.index.store.contract import Entry
from hgan.index.store.payload import to_entry, to_payload

PLAIN = Entry("a/b.jpg", 1, 2, "d", file_tags=("sea", "sun"))


def test_filters_see_all_tags_in_one_field() -> None:
    entry = Entry("a/b.jpg", 1, 2, "d", file_tags=("sea", "sun"), user_tags=("mine", "sea"))
    payload = to_payload(entry)
    assert payload["tags"] == ["sea", "sun", "mine"]
    assert (payload["file_tags"], payload["user_tags"]) == (["sea", "sun"], ["mine", "sea"])
    assert to_entry(payload) == entry
    assert entry.tags == ("sea", "sun", "mine")


def test_without_tags_of_users_the_payload_is_that_of_version_3() -> None:
    assert to_payload(PLAIN) == {
        "path": "a/b.jpg",
        "size": 1,
        "mtime": 2,
        "digest": "d",
        "folders": ["a"],
        "tags": ["sea", "sun"],
    }
    assert to_entry(to_payload(PLAIN)) == PLAIN


def test_a_photo_of_version_1_counts_as_changed() -> None:
    payload = to_payload(PLAIN)
    del payload["tags"]
    assert to_entry(payload) == Entry("a/b.jpg", 1, 0, "d")
