"""The tags that users add: which of them a photo has after it is stored again.

User tags are not in the files. They stay with the path of a photo, and go with its bytes if the
file was renamed. A new generation of an index gets them from the old one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from hgan.chunks import chunks
from hgan.index.store.contract import FLUSH_EVERY, Entry, Point, Store
from hgan.index.store.manifest import IndexManifest

Tags = tuple[str, ...]


def kept_tags(entry: Entry, before: Entry | None, moved: Mapping[str, Tags]) -> Tags:
    """The user tags of a photo that is stored again.

    Args:
        entry: the entry that was read from the file.
        before: the entry that is stored for this path.
        moved: user tags of photos whose files are missing, by digest.
    """
    if before is None:
        return moved.get(entry.digest, ())
    tags = before.user_tags
    if before.digest == entry.digest:
        # Older versions of hgan stored user tags together with the tags of the file.
        tags += tuple(tag for tag in before.file_tags if tag not in entry.file_tags)
    return tuple(dict.fromkeys(tags))


def carry_tags(
    old: Iterable[Entry],
    new: Store,
    manifest: IndexManifest,
    unreadable: Collection[str] = (),
    add: bool = False,
) -> None:
    """Give the photos of a new store the user tags that they have in the old one.

    A photo with user tags that cannot be read now is stored without vectors, and marked as damaged,
    so that it is encoded as soon as it can be read.

    Args:
        old: the entries of the old store.
        new: the new store.
        manifest: its manifest.
        unreadable: paths of photos that cannot be read.
        add: whether tags of the new store are kept, because users could add some to both; then
            only photos of the same bytes get any.
    """
    before = {entry.id: entry for entry in old}
    present = {entry.id: entry for entry in new.entries()}
    gone = [entry for key, entry in before.items() if entry.user_tags and key not in present]
    moved = {entry.digest: entry.user_tags for entry in gone if entry.path not in unreadable}
    changed = {}
    for key, entry in present.items():
        known = before.get(key)
        tags = kept_tags(entry, known, moved)
        if add:
            same = known is not None and known.digest == entry.digest
            tags = tuple(dict.fromkeys((*entry.user_tags, *(tags if same else ()))))
        if tags != entry.user_tags:
            changed[key] = replace(entry, user_tags=tags)
    for keys in chunks(list(changed), FLUSH_EVERY):
        found = new.fetch(keys, local=True)
        new.upsert([replace(point, entry=changed[point.entry.id]) for point in found])
    empty = [
        Point(entry, np.zeros(manifest.dense, np.float32), np.zeros((1, manifest.local)))
        for entry in gone
        if entry.path in unreadable
    ]
    if empty:
        new.upsert(empty)
        new.mark_damaged([point.entry.id for point in empty])
    new.flush()
