"""Photos in an object store, or wherever else fsspec reads: `s3://bucket/2023`.

Keys, endpoints and the like come from where the store's own tools have them, such as
`$AWS_ACCESS_KEY_ID`, and from fsspec's configuration, such as `$FSSPEC_S3_ENDPOINT_URL`. They are
never part of an address, which is printed and stored.
"""

from collections.abc import Mapping
from datetime import datetime
from errno import EINVAL
from typing import Any
from urllib.parse import urlsplit

from hgan.errors import ConfigError, DataError, HganError, SourceError
from hgan.runtime.images import PHOTO_SUFFIXES
from hgan.sources.types import Photo, Source, is_photo_name, printable

LARGEST = 128 * 2**20
"""Bytes of the largest object that is read; a photo is held in memory while it is decoded."""
THREADS = 16
"""Objects that are read at once: their time is spent waiting."""

_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_ETAGS = ("ETag", "etag")
"""What the file systems of fsspec call them."""


class CloudSource(Source):
    """Objects below a prefix. Nothing above it is ever read, whatever keys say."""

    threads = THREADS

    def __init__(self, address: str) -> None:
        """At this address.

        Raises:
            ConfigError: what reads such addresses is not installed, photos cannot be listed there,
                or the address holds a password.
        """
        self.root: str = address.rstrip("/")
        parts = urlsplit(address)
        if parts.password is not None:  # not shown
            raise ConfigError(
                f"{parts.scheme}://...{parts.hostname}: no password in an address, which is "
                "printed and stored; put it where the store's own tools look for it"
            )
        if parts.scheme in ("http", "https"):
            raise ConfigError(f"{address}: what is on the web cannot be listed; download it first")
        if "::" in address:
            raise ConfigError(f"{address}: name one place, not one inside another")
        try:
            from fsspec.core import url_to_fs

            self._files, base = url_to_fs(self.root)
        except ImportError as error:
            raise ConfigError(
                f"{address}: needs {error.name or error}; pip install 'hgan[cloud]' for S3, or "
                "the package that fsspec's documentation names for others"
            ) from error
        except Exception as error:  # file systems raise what they like
            raise ConfigError(f"{address}: not an address of photos ({_line(error)})") from error
        self._prefix = f"{base}/" if base else ""

    def find(self, skipped: dict[str, str]) -> tuple[list[Photo], tuple[str, ...]]:
        """All photos in order, read folder by folder; hidden folders are not entered."""
        photos: list[Photo] = []
        unread: list[str] = []
        waiting = [""]
        while waiting:
            inside = waiting.pop()  # "" or "some/folder/"
            try:
                found = self._list(inside)
            except PermissionError as error:
                if not inside:
                    raise self._refused(error) from error
                skipped[inside] = f"the folder cannot be read ({_line(error)})"
                unread.append(inside)
                continue
            folders = []
            for name, about in sorted(found.items()):
                if about.get("type") == "directory":
                    if not name.startswith("."):
                        folders.append(f"{inside}{name}/")
                elif reason := _refusal(name, about):
                    skipped[printable(inside + name)] = reason
                elif is_photo_name(name):
                    photos.append(_photo(inside + name, about))
            waiting.extend(reversed(folders))
        if not photos:
            raise HganError(
                f"{self.root}: no photos here, nor below "
                f"({', '.join(sorted(PHOTO_SUFFIXES))} are looked for)"
            )
        return photos, tuple(unread)

    def content(self, path: str) -> bytes:
        """The bytes of an object."""
        key = self._prefix + path
        try:
            data: bytes = self._files.cat_file(key, start=0, end=LARGEST + 1)
        except FileNotFoundError as error:
            raise DataError(f"{self.root}/{path}: gone since it was listed") from error
        except Exception as error:  # file systems raise what they like
            if self._is_its_own(error, key):
                raise DataError(f"{self.root}/{path}: cannot be read ({_line(error)})") from error
            raise self._failed(error) from error
        if len(data) > LARGEST:
            raise DataError(f"{self.root}/{path}: {_TOO_LARGE}")
        return data

    def _list(self, inside: str) -> dict[str, Mapping[str, Any]]:
        """What lies in a folder by its name, and what is said about it.

        Raises:
            PermissionError: it may not be listed.
        """
        folder = self._prefix + inside
        try:
            self._files.invalidate_cache()  # what was there before
            listed = self._files.ls(folder.rstrip("/"), detail=True)
            self._files.invalidate_cache()  # takes memory
        except PermissionError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            if inside:  # gone while we looked
                return {}
            raise DataError(f"{self.root}: nothing there ({_line(error)})") from error
        except Exception as error:  # file systems raise what they like
            raise self._failed(error) from error
        found = {}
        for about in listed:
            place: str = about["name"]
            if not folder:
                place = place.removeprefix("/")
            # An object store may hold `2023//beach.jpg` and `2023/../beach.jpg`, and list a folder
            # in itself. No folder could hold such names, so they are none of ours.
            name = place.removeprefix(folder).rstrip("/")
            if place.startswith(folder) and name not in ("", ".", "..") and "/" not in name:
                found[name] = about
        return found

    def _is_its_own(self, error: Exception, key: str) -> bool:
        """Whether what went wrong is about this object, and others can still be read."""
        if isinstance(error, PermissionError):
            # Of what S3 refuses for, this alone is about an object, and not about who asks.
            response = getattr(error.__cause__, "response", {})
            return response.get("Error", {}).get("Code", "AccessDenied") in ("AccessDenied", "403")
        if isinstance(error, OSError) and error.errno == EINVAL:
            try:  # an object without bytes has no range of them
                return bool(self._files.info(key)["size"] == 0)
            except Exception:
                return False
        return isinstance(error, IsADirectoryError)

    def _failed(self, error: Exception) -> SourceError:
        if isinstance(error, PermissionError) or "credentials" in str(error).lower():
            return self._refused(error)
        return SourceError(
            f"{self.root}: cannot be reached ({_line(error)}); what was done is kept, run it again "
            "to go on"
        )

    def _refused(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self.root}: the store lets nobody in ({_line(error)}); give the key where the "
            "store's own tools look for it, such as $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"
        )


_TOO_LARGE = f"larger than the {LARGEST // 2**20} MB that are read; make a smaller copy of it"


def _photo(path: str, about: Mapping[str, Any]) -> Photo:
    etags = (about[name] for name in _ETAGS if about.get(name))
    return Photo(
        path,
        int(about.get("size") or 0),
        _nanoseconds(about),
        etag=str(next(etags, "")).strip('"')[:100],
    )


def _nanoseconds(about: Mapping[str, Any]) -> int:
    """When an object was last changed; 0 where nobody knows."""
    for value in (about[name] for name in _TIMES if about.get(name)):
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            seconds = moment.timestamp() if isinstance(moment, datetime) else float(moment)
        except (ValueError, TypeError):
            continue
        return int(seconds * 1e9)
    return 0


def _refusal(name: str, about: Mapping[str, Any]) -> str | None:
    """Why something that looks like a photo is not taken for one."""
    if not is_photo_name(name):
        return None
    if about.get("type") != "file":
        return "not a file"
    if printable(name) != name:
        return "its name is not UTF-8; rename it"
    size = about.get("size")
    if size == 0:
        return "empty"
    return _TOO_LARGE if size is not None and size > LARGEST else None


def _line(error: Exception) -> str:
    """What went wrong, on one line that is not long."""
    return " ".join(str(error).split())[:300] or type(error).__name__
