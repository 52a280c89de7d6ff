"""The ids of photos that clients see: they cannot be guessed from the names of files.

The store's ids are derived from paths, so that a photo keeps its id when it is indexed again. If
clients saw them, anybody who can send requests, such as a web page in the same browser, could test
which files exist. The service therefore shows a keyed permutation of them: a Feistel network of
four rounds over 128 bits, with BLAKE2b, keyed by the secret of the index, as its round function
(Luby and Rackoff 1988: four rounds are a pseudorandom permutation, also against chosen ids).
Without the secret, a public id can neither be computed from a path, nor turned back.

The permutation is applied at the boundary of the service, and not in the store, because it needs no
table and no new index: the store, its files and local searches keep their ids, and indexes of older
versions are served as they are. Public ids are stable as long as the secret of the index is.
"""

from hashlib import blake2b
from pathlib import Path
from uuid import UUID

from hgan.index.store.open import Target, is_address
from hgan.index.store.secret import create_secret, load_secret, new_secret
from hgan.serve.logs import LOG

_ROUNDS = 4
_HALF = 64
_MASK = (1 << _HALF) - 1


class PublicIds:
    """Converts ids of the store to public ids, and back."""

    def __init__(self, secret: bytes) -> None:
        """Use the secret of an index."""
        self._secret = secret

    def public(self, stored: str) -> str:
        """The public id of a photo with this id in the store."""
        number = UUID(stored).int
        left, right = number >> _HALF, number & _MASK
        for step in range(_ROUNDS):
            left, right = right, left ^ self._mix(step, right)
        return str(UUID(int=left << _HALF | right))

    def stored(self, public: UUID) -> str:
        """The id in the store of a public id; every id has one, also if there is no such photo."""
        left, right = public.int >> _HALF, public.int & _MASK
        for step in reversed(range(_ROUNDS)):
            left, right = right ^ self._mix(step, left), left
        return str(UUID(int=left << _HALF | right))

    def _mix(self, step: int, half: int) -> int:
        data = half.to_bytes(_HALF // 8, "big")
        made = blake2b(data, digest_size=_HALF // 8, key=self._secret, salt=bytes([step]))
        return int.from_bytes(made.digest(), "big")


def open_public_ids(target: Target) -> PublicIds:
    """The public ids of an index that is open; its secret is created if it has none.

    Raises:
        IndexingError: the secret is damaged, or the server does not answer.
    """
    if is_address(target):
        from hgan.index.store.collection import secret_of

        return PublicIds(secret_of(str(target)))
    folder = Path(target)
    secret = load_secret(folder)
    if secret is None:
        try:
            secret = create_secret(folder)
        except OSError as error:
            LOG.warning(
                "the index has no secret, and its folder cannot be written (%s): the ids of photos "
                "change when the service is started again; update it once with `hgan index`",
                error.strerror,
            )
            secret = bytes.fromhex(new_secret())
    return PublicIds(secret)
