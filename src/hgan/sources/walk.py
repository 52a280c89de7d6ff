"""Walk through the folders of a source, follow its rules, and account for every file."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from hgan.errors import DataError, HganError
from hgan.runtime.formats import RAW, is_video, kind_of, readable_suffixes
from hgan.runtime.video import frame_paths
from hgan.sources.belongings import is_of_phones
from hgan.sources.rules import IGNORE_FILE, LARGEST_IGNORE_FILE, Rules
from hgan.sources.sidecars import Sidecar, Sidecars, is_sidecar_name
from hgan.sources.types import (
    FolderItem,
    Listing,
    Photo,
    Source,
    UnreadableFolderError,
    is_photo_name,
    is_video_name,
    printable,
)

_MOST_LINES = 5
"""Number of bad lines of a file of rules that are listed."""


def walk(source: Source, listing: Listing) -> Iterator[Photo]:
    """Yield all photos of a source in order, folder by folder; ignored folders are not listed.

    Args:
        source: the source.
        listing: all but its photos is filled in.

    Raises:
        DataError: the root cannot be listed.
    """
    waiting = [("", source.rules)]
    while waiting:
        folder, rules = waiting.pop()
        try:
            items = sorted(source.list_folder(folder))
        except UnreadableFolderError as error:
            if not folder:
                raise DataError(f"{source.root}: cannot be read ({error})") from error
            listing.skipped[printable(folder)] = f"the folder cannot be read ({error})"
            listing.unread += (folder,)
            continue
        if any(item.name == IGNORE_FILE and not item.is_folder for item in items):
            rules = _inside(source, folder, rules, listing)
        folders = []
        items = _kept(folder, items, rules, listing)
        others = {_stem(item) for item in items if _is_photo(item) and not _is_raw(item)}
        clips = _clips(source, folder, items)
        sidecars = _sidecars(folder, items)
        beside = _beside(items, others, clips) if sidecars else {}
        used: set[str] = set()
        unused: list[str] = []
        for item in items:
            path = folder + item.name
            if item.is_folder:
                folders.append(f"{path}/")
            elif item.refusal:
                listing.skipped[printable(path)] = item.refusal
            elif _is_raw(item) and _stem(item) in others:
                listing.left_out.beside += 1
            elif item.name in clips:
                listing.left_out.clips += 1
            elif is_sidecar_name(item.name):
                unused.append(item.name)
            elif not (_is_photo(item) or _is_video(source, item)):
                listing.left_out.add(item.name)
            elif printable(path) != path:
                listing.skipped[printable(path)] = "its name is not UTF-8; rename it"
            else:
                found = sidecars.of([item.name, *beside.get(_stem(item), ())])
                used.update(sidecar.path for sidecar in found)
                paths = frame_paths(path) if _is_video(source, item) else [path]
                if source.holds is None or source.holds(path):
                    for one in paths:
                        yield Photo(one, item.size, item.mtime, item.etag, found)
                else:
                    listing.elsewhere += len(paths)
        for name in unused:
            if folder + name not in used:
                listing.left_out.add(name)
        waiting.extend((inner, rules) for inner in reversed(folders))


def find_all(source: Source) -> Listing:
    """List all photos of a source; see `walk`.

    Raises:
        HganError: there are no photos.
    """
    listing = Listing()
    listing.photos = list(walk(source, listing))
    if not listing.photos and not listing.elsewhere:
        raise _no_photos(source, listing)
    return listing


def check_any(source: Source) -> None:
    """Raise `HganError` unless there is a photo in a source."""
    listing = Listing()
    if next(walk(source, listing), None) is None:
        raise _no_photos(source, listing)


def rule_for(source: Source, path: str) -> str | None:
    """The rule that ignores the file with this path, or a folder of it; None if none does.

    The file need not exist.
    """
    rules, folder = source.rules, ""
    for part in path.split("/"):
        rules = _inside(source, folder, rules, Listing())
        folder = f"{folder}{part}/"
        if rule := rules.ignoring(path if folder == f"{path}/" else folder):
            return rule
    return None


def count_ignored(source: Source, ignored: Mapping[str, str]) -> Counter[str]:
    """The number of files in ignored folders by rule, see `Listing.ignored`.

    This takes a while if there are many; folders that cannot be listed count as empty.
    """
    found = Counter[str]()
    for folder, rule in ignored.items():
        found[rule] += _count_files(source, folder)
    return +found  # without zeros


def _count_files(source: Source, folder: str) -> int:
    count, waiting = 0, [folder]
    while waiting:
        place = waiting.pop()
        try:
            items = list(source.list_folder(place))
        except UnreadableFolderError:
            continue
        folders = [f"{place}{item.name}/" for item in items if item.is_folder]
        count += len(items) - len(folders)
        waiting += folders
    return count


def _kept(
    folder: str, items: Sequence[FolderItem], rules: Rules, listing: Listing
) -> list[FolderItem]:
    """The items of a folder that no rule ignores; the others are added to the listing."""
    kept = []
    for item in items:
        path = f"{folder}{item.name}/" if item.is_folder else folder + item.name
        if printable(path) in listing.skipped:  # a file of rules
            continue
        rule = rules.ignoring(path)
        if rule is None:
            kept.append(item)
        elif item.is_folder:
            listing.ignored[path] = rule
        else:
            listing.left_out.ignored[rule] += 1
    return kept


def _is_photo(item: FolderItem) -> bool:
    """Whether an item is a photo that can be read here, as far as the listing shows."""
    return is_photo_name(item.name) and not item.is_folder and not item.refusal


def _is_video(source: Source, item: FolderItem) -> bool:
    """Whether an item is a video whose frames are read."""
    return source.reads_videos and is_video_name(item.name)


def _is_raw(item: FolderItem) -> bool:
    return kind_of(item.name) is RAW


def _stem(item: FolderItem) -> str:
    """The name without its suffix, as cameras give it to both files of a photo."""
    return PurePath(item.name).stem.lower()


def _sidecars(folder: str, items: Sequence[FolderItem]) -> Sidecars:
    """The sidecars in a folder; those whose names are not UTF-8 belong to no photo."""
    return Sidecars(
        Sidecar(folder + item.name, item.size, item.mtime, item.etag)
        for item in items
        if is_sidecar_name(item.name)
        and not item.is_folder
        and not item.refusal
        and printable(item.name) == item.name
    )


def _clips(source: Source, folder: str, items: Sequence[FolderItem]) -> set[str]:
    """The names of the clips of Live Photos, which are left out."""
    photos = {_stem(item) for item in items if _is_photo(item) and is_of_phones(item.name)}
    return {
        item.name
        for item in items
        if is_video(item.name)
        and not item.is_folder
        and not item.refusal
        and _stem(item) in photos
        and source.is_live_clip(folder + item.name)
    }


def _beside(items: Sequence[FolderItem], others: set[str], clips: set[str]) -> dict[str, list[str]]:
    """The files that are left out because there are photos of the same name, by that name."""
    found: dict[str, list[str]] = {}
    for item in items:
        if (_is_raw(item) and _stem(item) in others) or item.name in clips:
            found.setdefault(_stem(item), []).append(item.name)
    return found


def _inside(source: Source, folder: str, rules: Rules, listing: Listing) -> Rules:
    """The rules in a folder with the `.hganignore` in it; what is wrong with this file is added to
    `listing.skipped`."""
    path = folder + IGNORE_FILE
    name = printable(path)
    try:
        data = source.read(Photo(path, 0, 0)).data
        if len(data) > LARGEST_IGNORE_FILE:
            raise DataError(f"larger than the limit of {LARGEST_IGNORE_FILE // 2**20} MB")
    except DataError as error:
        listing.skipped[name] = f"{error}; its rules have no effect"
        return rules
    rules, problems = rules.within(folder, data.decode("utf-8-sig", "replace"))
    if problems:
        lines = [f"line {number}: {why}" for number, why in list(problems.items())[:_MOST_LINES]]
        more = ["and more"] if len(problems) > _MOST_LINES else []
        listing.skipped[name] = f"{'; '.join(lines + more)}; these lines have no effect"
    return rules


def _no_photos(source: Source, listing: Listing) -> HganError:
    left_out = [f"; left out: {reason}" for reason in listing.left_out.reasons()]
    if listing.ignored:
        rules = ", ".join(sorted(set(listing.ignored.values())))
        left_out.append(f"; ignored folders: {rules}")
    suffixes = ", ".join(readable_suffixes())
    return HganError(
        f"{source.root}: no photos here or in its subfolders (files with {suffixes})"
        f"{''.join(left_out)}"
    )
