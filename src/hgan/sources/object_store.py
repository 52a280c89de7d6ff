"""The source for photos in an object store or another file system of fsspec: `s3://bucket/2023`.

Credentials and endpoints are read from the same places as by the store's own tools, such as
`$AWS_ACCESS_KEY_ID`, and from fsspec's configuration, such as `$FSSPEC_S3_ENDPOINT_URL`. They are
never part of an address, because addresses are printed and stored.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from errno import EINVAL
from typing import Any
from urllib.parse import urlsplit

from hgan.errors import ConfigError, DataError, SourceError
from hgan.runtime.photo_file import LARGEST_PHOTO, TOO_LARGE
from hgan.sources.types import (
    FolderItem,
    Listing,
    Photo,
    PhotoContent,
    Source,
    UnreadableFolderError,
    is_photo_name,
)
from hgan.sources.walk import check_any, find_all

THREADS = 16
"""Number of objects that are read at the same time; reading is mostly waiting."""

_TIME_FIELDS = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
_ETAG_FIELDS = ("ETag", "etag")
"""Field names in the listings of fsspec's file systems, as above."""


class ObjectStoreSource(Source):
    """Objects below a prefix. Objects outside the prefix are never read."""

    threads = THREADS

    def __init__(self, address: str) -> None:
        """Use the photos below `address`.

        Raises:
            ConfigError: the package that reads such addresses is not installed, photos cannot be
                listed there, or the address contains a password.
        """
        self.root: str = address.rstrip("/")
        parts = urlsplit(address)
        if parts.password is not None:  # not shown
            raise ConfigError(
                f"{parts.scheme}://...{parts.hostname}: an address must not contain a password, "
                "because it is printed and stored; put it where the store's own tools read it"
            )
        if parts.scheme in ("http", "https"):
            raise ConfigError(
                f"{address}: photos on a web site cannot be listed; download them first"
            )
        if "::" in address:
            raise ConfigError(f"{address}: chained addresses (::) are not supported; use one URL")
        try:
            from fsspec.core import url_to_fs

            self._files, base = url_to_fs(self.root)
        except ImportError as error:
            raise ConfigError(
                f"{address}: needs {error.name or error}; pip install 'hgan[cloud]' for S3, or, "
                "for other stores, the package listed in fsspec's documentation"
            ) from error
        except Exception as error:  # file systems raise exceptions of any class
            raise ConfigError(f"{address}: not an address of photos ({_line(error)})") from error
        self._prefix = f"{base}/" if base else ""

    def find(self) -> Listing:
        """List all photos.

        Raises:
            HganError: there are no photos below the prefix, or the store cannot be reached.
        """
        return find_all(self)

    def check(self) -> None:
        """Raise the errors of `find`, but stop at the first photo."""
        check_any(self)

    def read(self, photo: Photo) -> PhotoContent:
        """Read an object.

        Size, time and ETag are kept from the listing. If the object was replaced since then, the
        next listing differs, and the object is read again.

        Raises:
            DataError: the object no longer exists, is too large, or cannot be read.
            SourceError: the store cannot be read now.
        """
        key = self._prefix + photo.path
        try:
            data: bytes = self._files.cat_file(key, start=0, end=LARGEST_PHOTO + 1)
        except FileNotFoundError as error:
            raise DataError(f"{self.root}/{photo.path}: no longer exists") from error
        except Exception as error:  # file systems raise exceptions of any class
            if self._is_of_one_object(error, key):
                raise DataError(
                    f"{self.root}/{photo.path}: cannot be read ({_line(error)})"
                ) from error
            raise self._unreachable(error) from error
        if len(data) > LARGEST_PHOTO:
            raise DataError(f"{self.root}/{photo.path}: {TOO_LARGE}")
        return PhotoContent(photo, data)

    def glance(self, photo: Photo) -> None:
        """Do nothing: objects are only read as a whole."""

    def list_folder(self, folder: str) -> Iterator[FolderItem]:
        """List the objects and folders in a folder.

        Raises:
            UnreadableFolderError: access to it is denied.
            SourceError: the store cannot be reached, or denies access to the root.
        """
        try:
            found = self._list_objects(folder)
        except PermissionError as error:
            if not folder:
                raise self._denied(error) from error
            raise UnreadableFolderError(_line(error)) from error
        return (_item(name, info) for name, info in found.items())

    def _list_objects(self, inside: str) -> dict[str, Mapping[str, Any]]:
        """The store's information about each object and folder in a folder, by name.

        Raises:
            PermissionError: access to the folder is denied.
        """
        folder = self._prefix + inside
        try:
            self._files.invalidate_cache()  # drop the listing of an earlier run
            listed = self._files.ls(folder.rstrip("/"), detail=True)
            self._files.invalidate_cache()  # free the memory
        except PermissionError:
            raise
        except (FileNotFoundError, NotADirectoryError) as error:
            if inside:  # removed meanwhile
                return {}
            raise DataError(f"{self.root}: not found ({_line(error)})") from error
        except Exception as error:  # file systems raise exceptions of any class
            raise self._unreachable(error) from error
        found = {}
        for info in listed:
            place: str = info["name"]
            if not folder:
                place = place.removeprefix("/")
            # An object store may contain `2023//beach.jpg` and `2023/../beach.jpg`, and list a
            # folder as part of itself. File systems do not allow such names; they are left out.
            name = place.removeprefix(folder).rstrip("/")
            if place.startswith(folder) and name not in ("", ".", "..") and "/" not in name:
                found[name] = info
        return found

    def _is_of_one_object(self, error: Exception, key: str) -> bool:
        """Whether an error concerns only this object, so that others can still be read."""
        if isinstance(error, PermissionError):
            # Of S3's error codes, only this one is about the object and not about the user.
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
            f"{self.root}: cannot be reached ({_line(error)}); finished work is kept, run the "
            "command again to continue"
        )

    def _denied(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self.root}: access denied ({_line(error)}); set the credentials that the store's "
            "own tools use, such as $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"
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
    """The reason to skip an object that looks like a photo; empty if there is none."""
    if not is_photo_name(name):
        return ""
    if info.get("type") != "file":
        return "not a file"
    size = info.get("size")
    if size == 0:
        return "empty"
    return TOO_LARGE if size is not None and size > LARGEST_PHOTO else ""


def _nanoseconds(info: Mapping[str, Any]) -> int:
    """Time of the last change of an object, in nanoseconds since 1970; 0 if unknown."""
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
