"""The secret of an index folder: the key of the ids that a service shows (`hgan.serve.public_ids`).

INDEX/secret holds 32 random bytes, in hexadecimal, readable by its owner only. It is created with
the index, and stays when the index is updated, so that links to photos stay valid. An index without
one, of an older version, gets it when it is served.
"""

import os
import secrets
import tempfile
from pathlib import Path

from hgan.errors import IndexingError
from hgan.files import owner, sync_folder

NAME = "secret"
BYTES = 32


def new_secret() -> str:
    """A new secret, in hexadecimal."""
    return secrets.token_hex(BYTES)


def parse_secret(text: str, where: object) -> bytes:
    """The bytes of a secret.

    Raises:
        IndexingError: it is damaged.
    """
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != BYTES:
        raise IndexingError(
            f"{where}: damaged, it must be {2 * BYTES} hexadecimal digits; remove it, and a new "
            "one is created (the ids of all photos in the service then change)"
        )
    return secret


def load_secret(folder: Path) -> bytes | None:
    """The secret of an index; None if it has none.

    Raises:
        IndexingError: it is damaged or cannot be read.
    """
    file = folder / NAME
    try:
        return parse_secret(file.read_text("ascii"), file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise IndexingError(f"{file}: cannot be read ({error})") from error


def create_secret(folder: Path, text: str | None = None) -> bytes:
    """Create the secret of an index, unless it has one; the caller holds the lock of the index.

    Args:
        folder: the index.
        text: the secret, in hexadecimal; by default a new one.

    Raises:
        OSError: the folder cannot be written.
        IndexingError: the present secret is damaged.
    """
    if (present := load_secret(folder)) is not None:
        return present
    text = text or new_secret()
    descriptor, temporary = tempfile.mkstemp(f".{owner()}.tmp", f".{NAME}.", folder)  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / NAME)
        sync_folder(folder)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return bytes.fromhex(text)
