"""Photos in an object store, or anywhere else that fsspec reads: `s3://bucket/2023`.

Keys, endpoints and the like are taken from where the store's own tools look for them, such as
`$AWS_ACCESS_KEY_ID`, and from fsspec's configuration, such as `$FSSPEC_S3_ENDPOINT_URL`. They are
never part of an address, because addresses are printed and stored.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from errno import EINVAL
from typing import Any
from urllib.parse import urlsplit

from hgan.errors import ConfigError, DataError, SourceError
from hgan.sources.types import (
    LARGEST_PHOTO,
    TOO_LARGE,
    Listing,
    Photo,
    PhotoContent,
    Source,
    is_photo_name,
)
from hgan.sources.walk import FolderItem, UnreadableFolderError, check_any, find_all

THREADS = 16
"""Objects that are read at once; reading is mostly waiting."""

_TIME_FIELDS = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_ETAG_FIELDS = ("ETag", "etag")
"""Names that the file systems of fsspec use."""


class ObjectStoreSource(Source):
    """Objects below a prefix. Nothing outside the prefix is ever read, whatever the keys are."""

    threads = THREADS

    def __init__(self, address: str) -> None:
        """The photos below `address`.

        Raises:
            ConfigError: the package that reads such addresses is not installed, photos cannot be
                listed there, or the address holds a password.
        """
        self.root: str = address.rstrip("/")
        parts = urlsplit(address)
        if parts.password is not None:  # not shown
            raise ConfigError(
                f"{parts.scheme}://...{parts.hostname}: no password in an address, which is "
                "printed and stored; put it where the store's own tools look for it"
            )
        if parts.scheme in ("http", "https"):
            raise ConfigError(f"{address}: a web site cannot be listed; download it first")
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
        except Exception as error:  # file systems raise exceptions of any class
            raise ConfigError(f"{address}: not an address of photos ({_line(error)})") from error
        self._prefix = f"{base}/" if base else ""

    def find(self) -> Listing:
        """List all photos.

        Raises:
            HganError: there is nothing below the prefix, or no photo, or it cannot be reached.
        """
        return find_all(self.root, self._list)

    def check(self) -> None:
        """Raise what `find` would raise, but stop at the first photo."""
        check_any(self.root, self._list)

    def read(self, photo: Photo) -> PhotoContent:
        """Read an object.

        Size, time and etag stay those of the listing: if the object was replaced since, the next
        listing differs, and it is read again.

        Raises:
            DataError: it does not exist any more, is too large or cannot be read.
            SourceError: nothing can be read from this store now.
        """
        key = self._prefix + photo.path
        try:
            data: bytes = self._files.cat_file(key, start=0, end=LARGEST_PHOTO + 1)
        except FileNotFoundError as error:
            raise DataError(f"{self.root}/{photo.path}: gone since it was listed") from error
        except Exception as error:  # file systems raise exceptions of any class
            if self._is_of_one_object(error, key):
                raise DataError(
                    f"{self.root}/{photo.path}: cannot be read ({_line(error)})"
                ) from error
            raise self._unreachable(error) from error
        if len(data) > LARGEST_PHOTO:
            raise DataError(f"{self.root}/{photo.path}: {TOO_LARGE}")
        return PhotoContent(photo, data)

    def _list(self, folder: str) -> Iterator[FolderItem]:
        try:
            found = self._list_objects(folder)
        except PermissionError as error:
            if not folder:
                raise self._denied(error) from error
            raise UnreadableFolderError(_line(error)) from error
        return (_item(name, info) for name, info in found.items())

    def _list_objects(self, inside: str) -> dict[str, Mapping[str, Any]]:
        """What the store says of each object and folder in a folder, by name.

        Raises:
            PermissionError: it may not be listed.
        """
        folder = self._prefix + inside
        try:
            self._files.invalidate_cache()  # the listing of an earlier run
            listed = self._files.ls(folder.rstrip("/"), detail=True)
            self._files.invalidate_cache()  # takes memory
        except PermissionError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            if inside:  # removed meanwhile
                return {}
            raise DataError(f"{self.root}: nothing there ({_line(error)})") from error
        except Exception as error:  # file systems raise exceptions of any class
            raise self._unreachable(error) from error
        found = {}
        for info in listed:
            place: str = info["name"]
            if not folder:
                place = place.removeprefix("/")
            # An object store may hold `2023//beach.jpg` and `2023/../beach.jpg`, and list a folder
            # in itself. Such names are impossible in a folder, and are left out.
            name = place.removeprefix(folder).rstrip("/")
            if place.startswith(folder) and name not in ("", ".", "..") and "/" not in name:
                found[name] = info
        return found

    def _is_of_one_object(self, error: Exception, key: str) -> bool:
        """Whether an error concerns this object alone, so that others can still be read."""
        if isinstance(error, PermissionError):
            # Of the reasons that S3 gives, only this one is about the object and not the user.
            response = getattr(error.__cause__, "response", {})
            return response.get("Error", {}).get("Code", "AccessDenied") in ("AccessDenied", "403")
        if isinstance(error, OSError) and error.errno == EINVAL:
            try:  # an empty object has no range of bytes
                return bool(self._files.info(key)["size"] == 0)
            except Exception:
                return False
        return isinstance(error, IsADirectoryError)

    def _unreachable(self, error: Exception) -> SourceError:
        if isinstance(error, PermissionError) or "credentials" in str(error).lower():
            return self._denied(error)
        return SourceError(
            f"{self.root}: cannot be reached ({_line(error)}); what was done is kept, run it again "
            "to go on"
        )

    def _denied(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self.root}: access denied ({_line(error)}); give the key where the store's own "
            "tools look for it, such as $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"
        )


def _item(name: str, info: Mapping[str, Any]) -> FolderItem:
    if info.get("type") == "directory":
        return FolderItem(name, is_folder=True)
    if refusal := _refusal(name, info):
        return FolderItem(name, refusal=refusal)
    etags = (info[field] for field in _ETAG_FIELDS if info.get(field))
    etag = str(next(etags, "")).strip('"')[:100]
    return FolderItem(name, size=int(info.get("size") or 0), mtime=_nanoseconds(info), etag=etag)


def _refusal(name: str, info: Mapping[str, Any]) -> str:
    """Why something that looks like a photo is skipped."""
    if not is_photo_name(name):
        return ""
    if info.get("type") != "file":
        return "not a file"
    size = info.get("size")
    if size == 0:
        return "empty"
    return TOO_LARGE if size is not None and size > LARGEST_PHOTO else ""


def _nanoseconds(info: Mapping[str, Any]) -> int:
    """When an object was last changed; 0 if the store does not say."""
    for value in (info[field] for field in _TIME_FIELDS if info.get(field)):
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            seconds = moment.timestamp() if isinstance(moment, datetime) else float(moment)
        except (ValueError, TypeError):
            continue
        return int(seconds * 1e9)
    return 0


def _line(error: Exception) -> str:
    """The message of an error, on one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__
