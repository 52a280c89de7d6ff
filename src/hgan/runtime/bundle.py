"""A model bundle: the folder that training leaves and searching reads, run by ONNX Runtime.

`config.json` says how to use the rest: `image.onnx` (pixels to vectors), `text.onnx` (token ids to
vectors) and `tokenizer.json`. A part is checked and loaded when it is first needed, so that a
search by text does not wait for the image tower.
"""

import ctypes
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hgan.encoded import LEVELS, Encoded
from hgan.errors import BundleError, DataError
from hgan.files import sha256

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

FORMAT_VERSION = 1
IMAGE_BATCH = 8
"""Photos run at once; on CPUs a small batch stays in the caches."""
TEXT_BATCH = 32

_FILES = ("image.onnx", "text.onnx", "tokenizer.json")
_WIDTHS = ("context", "slots", "slot", "local")


def default_bundle() -> Path:
    """The bundle that ships with the program."""
    return Path(__file__).parent.parent / "bundles" / "default"


@dataclass(frozen=True)
class BundleConfig:
    """What `config.json` of a bundle says."""

    name: str
    size: int
    """Side of the square photos that the image tower reads, in pixels."""
    grid: int
    boxes: list[list[float]]
    """(R, 4): each region's x0 y0 x1 y1 in 0..1."""
    max_words: int
    """Longest text in tokens, start and end marks included; what is longer is cut."""
    weights: dict[str, float]
    """Of the levels `context`, `shared` and `local` in S; they sum to one."""
    widths: dict[str, int]
    """`context` D, `slots` K, `slot` D_s and `local` D_l."""
    files: dict[str, str]
    """SHA-256 of each file."""


class Bundle:
    """Encodes photos and texts into one space."""

    def __init__(
        self, folder: Path, config: BundleConfig, identity: str, spin: bool = True
    ) -> None:
        """Use `Bundle.load`."""
        self._spin = spin
        self.folder = folder
        self.config = config
        self.id = identity
        """Short hash of the configuration, which holds the hashes of all files."""

    @classmethod
    def load(cls, path: Path | None = None, spin: bool = True) -> "Bundle":
        """Open a bundle, by default the one that ships with the program.

        Args:
            path: its folder.
            spin: whether threads of the text tower wait for each other by spinning. One sentence
                at a time then takes half as long; but the processors are kept from other work,
                such as that of the other queries of a busy service.

        Raises:
            BundleError: it is missing, damaged, or of a newer format.
        """
        folder = path or default_bundle()
        file = folder / "config.json"
        try:
            content = file.read_bytes()
        except OSError as error:
            raise BundleError(
                f"{folder}: no model bundle here ({error.strerror}); `hgan export` makes one"
            ) from error
        config = _parse(file, content)
        # Read when they are needed; that one is absent is better known before hours of indexing.
        for name in config.files:
            if not (folder / name).is_file():
                raise BundleError(f"{folder / name}: is missing; get the bundle again")
        return cls(folder, config, hashlib.sha256(content).hexdigest()[:16], spin)

    def check(self) -> None:
        """Compare every file with its checksum: before hours of indexing with one of the towers,
        rather than at the first search, which needs the other.

        Raises:
            BundleError: a file is damaged.
        """
        for name in self.config.files:
            self._checked(name)

    def encode_images(self, pixels: Sequence[np.ndarray] | np.ndarray) -> Encoded[np.ndarray]:
        """Encode photos, each (size, size, 3) uint8.

        Raises:
            BundleError: the image tower is damaged.
        """
        parts = [
            self._run(self._image_tower, {"pixels": np.stack(list(batch))})
            for batch in _batches(pixels, IMAGE_BATCH)
        ]
        return self._join([(part, np.ones(part["local"].shape[:2], np.bool_)) for part in parts])

    def encode_texts(self, texts: Sequence[str]) -> Encoded[np.ndarray]:
        """Encode sentences in any script; what is longer than `max_words` tokens is cut.

        Raises:
            DataError: a text has no words in it.
            BundleError: the text tower or the tokenizer is damaged.
        """
        parts = []
        for batch in _batches(texts, TEXT_BATCH):
            ids, mask = self._tokenize(batch)
            part = self._run(self._text_tower, {"ids": ids, "mask": mask})
            parts.append((part, part.pop("local_mask")))
        return self._join(parts)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Where each token's word stands in a text, in the order of `encode_texts([text]).local`.

        Pieces of one word have that word's start and end; the start and end marks have None.

        Raises:
            DataError: the text has no words in it.
            BundleError: the tokenizer is damaged.
        """
        [encoding] = self._encodings([text])
        return [
            None if word is None else encoding.word_to_chars(word) for word in encoding.word_ids
        ]

    def _tokenize(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        encodings = self._encodings(texts)
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        return ids, np.array([encoding.attention_mask for encoding in encodings], np.int64)

    def _encodings(self, texts: Sequence[str]) -> "list[Encoding]":
        # Half of a surrogate pair, as badly encoded arguments have, is not a text to tokenizers.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        encodings = self._tokenizer.encode_batch(clean)
        for text, encoding in zip(texts, encodings, strict=True):
            if all(encoding.special_tokens_mask):
                raise DataError(f"{text!r} has no words in it; describe what the photo shows")
        return encodings

    def _run(self, tower: "InferenceSession", inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        names = [output.name for output in tower.get_outputs()]
        try:
            return dict(zip(names, tower.run(names, inputs), strict=True))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise BundleError(f"{self.folder}: the model does not run ({error})") from error

    def _join(self, parts: list[tuple[dict[str, Any], np.ndarray]]) -> Encoded[np.ndarray]:
        widths = self.config.widths
        if not parts:
            return Encoded(
                np.zeros((0, widths["context"]), np.float32),
                np.zeros((0, widths["slots"], widths["slot"]), np.float32),
                np.zeros((0, 0, widths["local"]), np.float32),
                np.zeros((0, 0), np.bool_),
            )
        longest = max(mask.shape[1] for _, mask in parts)
        encoded = Encoded(
            np.concatenate([part["context"] for part, _ in parts]),
            np.concatenate([part["slots"] for part, _ in parts]),
            np.concatenate([_pad(part["local"], longest) for part, _ in parts]),
            np.concatenate([_pad(mask, longest) for _, mask in parts]),
        )
        found = (*encoded.context.shape[1:], *encoded.slots.shape[1:], encoded.local.shape[2])
        if found != tuple(widths[name] for name in _WIDTHS):
            raise BundleError(f"{self.folder}: the model's widths {found} are not config.json's")
        return encoded

    @cached_property
    def _image_tower(self) -> "InferenceSession":
        # Threads that wait by spinning would take the processors from those that decode photos.
        return self._session("image.onnx", {"context", "slots", "local"}, spin=False)

    @cached_property
    def _text_tower(self) -> "InferenceSession":
        # One sentence is many small steps: threads that sleep between them take twice as long.
        outputs = {"context", "slots", "local", "local_mask"}
        return self._session("text.onnx", outputs, spin=self._spin)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        path = self._checked("tokenizer.json")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"{path}: not a tokenizer ({error})") from error
        tokenizer.enable_truncation(self.config.max_words)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]") or 0)
        return tokenizer

    def _session(self, name: str, outputs: set[str], spin: bool) -> "InferenceSession":
        import onnxruntime

        path = self._checked(name)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only, and those are raised
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        try:
            session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise BundleError(f"{path}: not a model that ONNX Runtime can run ({error})") from error
        _give_back()
        if missing := outputs - {output.name for output in session.get_outputs()}:
            raise BundleError(f"{path}: the model has no output {', '.join(sorted(missing))}")
        return session

    def _checked(self, name: str) -> Path:
        path = self.folder / name
        try:
            found = sha256(path)
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
        if found != self.config.files[name]:
            raise BundleError(
                f"{path}: damaged, its checksum is not the one in config.json; get the bundle again"
            )
        return path


def _parse(file: Path, content: bytes) -> BundleConfig:
    try:
        values = json.loads(content)
        version = values.pop("format_version")
        if version > FORMAT_VERSION:
            raise BundleError(
                f"{file}: format version {version}, this program reads up to {FORMAT_VERSION}; "
                "upgrade hgan"
            )
        config = BundleConfig(**values)
        if not np.shape(config.boxes)[1:] == (4,):
            raise ValueError("boxes are not rows of four")
        for name, keys in (("weights", LEVELS), ("widths", _WIDTHS), ("files", _FILES)):
            if set(getattr(config, name)) != set(keys):
                raise ValueError(f"{name} has not the fields {', '.join(keys)}")
        if min(config.size, config.max_words - 2, *(w + 1 for w in config.widths.values())) < 1:
            raise ValueError("a size is not positive")
        if min(config.weights.values()) < 0 or abs(sum(config.weights.values()) - 1) > 1e-3:
            raise ValueError("weights are negative or do not sum to one")
        width = config.widths
        sizes = {"context": width["context"], "local": width["local"]}
        sizes["shared"] = width["slots"] * width["slot"]
        if any(weight and not sizes[level] for level, weight in config.weights.items()):
            raise ValueError("a level has a weight and no width")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{file}: not the configuration of a bundle ({error})") from error
    return config


def _batches(items: Sequence[Any] | np.ndarray, length: int) -> Iterator[Any]:
    return (items[i : i + length] for i in range(0, len(items), length))


def _give_back() -> None:
    """Return memory to the system that preparing a model took and freed: tens of megabytes that
    glibc would keep for later."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _pad(array: np.ndarray, length: int) -> np.ndarray:
    """Zeros (False) up to `length` along the second axis."""
    room = [(0, 0), (0, length - array.shape[1])] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, room)
