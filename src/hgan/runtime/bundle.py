"""A model bundle: the folder that `hgan export` writes and searching reads, run by ONNX Runtime.

`config.json` describes the rest: `image.onnx` (pixels to vectors), `text.onnx` (token ids to
vectors), `tokenizer.json`, and for dual encoders `patches.onnx` (from the image tower's states to
vectors of patches, for explanations). All files are compared with their checksums once, when the
bundle is opened. A file is loaded when it is first needed, so a search by text does not wait for
the image tower.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hgan.chunks import chunks
from hgan.encoded import Encoded
from hgan.errors import BundleError, ConfigError
from hgan.files import sha256
from hgan.runtime.bundle_config import BundleConfig, parse_config
from hgan.runtime.device import CPU, candidates, named_device
from hgan.runtime.embeddings import concatenate, empty
from hgan.runtime.inputs import texts_of
from hgan.runtime.model import IMAGE_BATCH as IMAGE_BATCH
from hgan.runtime.model import TEXT_BATCH as TEXT_BATCH
from hgan.runtime.model import Model
from hgan.runtime.onnx_file import external_files
from hgan.runtime.patches import PatchGrid
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.session import open_on_device, open_session
from hgan.runtime.tokens import TextReader

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


DEVICE_IMAGE_BATCH = 64
"""Photos in a batch on a device other than the processor."""
_IMAGE = ("context", "slots", "local")
_TEXT = (*_IMAGE, "local_mask")
"""Outputs of the towers."""
MAX_CONFIG = 16 * 2**20
"""Maximum size of `config.json`, in bytes."""


def default_bundle() -> Path:
    """The folder of the bundle that ships with hgan."""
    return Path(__file__).parent.parent / "bundles" / "default"


class Bundle(Model):
    """A model that ONNX Runtime runs."""

    def __init__(self, folder: Path, config: BundleConfig, identity: str) -> None:
        """Use `Bundle.load`."""
        self.folder = folder
        self.config = config
        self._id = identity

    @classmethod
    def load(cls, path: Path | str | None = None) -> "Bundle":
        """Open a bundle, by default the one that ships with hgan.

        Args:
            path: folder of the bundle.

        Raises:
            BundleError: the bundle is missing, damaged, or of a newer format.
            ConfigError: `path` is a model, not a folder.
        """
        if isinstance(path, Model):
            raise ConfigError(
                f"{path!r}: a bundle is needed here; `hgan export` converts a checkpoint to one"
            )
        folder = default_bundle() if path is None else Path(path)
        file = folder / "config.json"
        try:
            with file.open("rb") as opened:
                content = opened.read(MAX_CONFIG + 1)
        except OSError as error:
            raise BundleError(
                f"{folder}: no model bundle here ({error.strerror}); `hgan export` creates one"
            ) from error
        if len(content) > MAX_CONFIG:
            raise BundleError(
                f"{file}: not the configuration of a bundle (larger than {MAX_CONFIG} bytes); get "
                "the bundle again"
            )
        config = parse_config(file, content)
        # All of them now: damage should be reported before hours of indexing.
        for name, digest in config.files.items():
            _check_file(folder / name, digest, set(config.files))
        return cls(folder, config, hashlib.sha256(content).hexdigest()[:16])

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.config.name

    @property
    def id(self) -> str:
        """Short hash of the configuration, which contains the hashes of all files."""
        return self._id

    @property
    def size(self) -> int:
        """Side of the square photo that the model reads, in pixels."""
        return self.config.size

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model wants its photos."""
        return self.config.preprocessing

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of texts that the model understands, by its model card; empty if unknown."""
        return self.config.languages

    @property
    def logits(self) -> dict[str, float] | None:
        """Scale and bias of the logit of a match; see `Model.logits`."""
        return self.config.logits

    @property
    def boxes(self) -> list[list[float]]:
        """(R, 4): each region's x0 y0 x1 y1 in 0..1."""
        return self.config.boxes

    @property
    def patches(self) -> PatchGrid | None:
        """The patches of a photo, if the model can give vectors of them; see `Model.patches`."""
        return self.config.patches

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each level in S."""
        return self.config.weights

    @property
    def widths(self) -> dict[str, int]:
        """`context` D, `slots` K, `slot` D_s and `local` D_l."""
        return self.config.widths

    def encode_images(
        self, pixels: Sequence[np.ndarray] | np.ndarray, batch_size: int = IMAGE_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode decoded photos, each (size, size, 3) uint8; `encode_image` takes other inputs.

        Raises:
            DataError: a photo is not such an array.
            BundleError: the image tower is damaged.
        """
        for photo in pixels:
            self.preprocessing.check(photo)
        parts = []
        for batch in chunks(pixels, batch_size):
            parts += self._photos(np.stack(list(batch)))
        return self._join(parts)

    def _photos(self, pixels: np.ndarray) -> list[Encoded[np.ndarray]]:
        """Encode a batch; in halves if the device has too little memory for it."""
        try:
            part = self._run(self._image_tower, {"pixels": pixels}, _IMAGE)
        except BundleError as error:
            if len(pixels) == 1 or "memory" not in str(error).lower():
                raise
            half = len(pixels) // 2
            return self._photos(pixels[:half]) + self._photos(pixels[half:])
        return [_encoded(part)]

    def encode_with_patches(
        self, pixels: np.ndarray
    ) -> tuple[Encoded[np.ndarray], np.ndarray | None]:
        """Encode one photo and its patches; see `Model.encode_with_patches`."""
        if self.patches is None:
            return super().encode_with_patches(pixels)
        self.preprocessing.check(pixels)
        part = self._run(self._image_tower, {"pixels": pixels[None]}, (*_IMAGE, "states"))
        found = self._run(self._patch_network, {"states": part["states"]}, ("patches",))
        patches = found["patches"][0]
        expected = (self.patches.side**2, self.widths["context"])
        if patches.shape != expected:
            raise BundleError(
                f"{self.folder}: the vectors of patches are {patches.shape}, not {expected} as "
                "config.json says"
            )
        return self._join([_encoded(part)]), patches

    def encode_texts(
        self, texts: Sequence[str], batch_size: int = TEXT_BATCH
    ) -> Encoded[np.ndarray]:
        """Encode texts in any script; texts of more than `max_words` tokens are truncated.

        Raises:
            DataError: a text is not a string, or contains no words.
            BundleError: the text tower or the tokenizer is damaged.
        """
        parts = []
        for batch in chunks(texts_of(texts), batch_size):
            ids, mask = self.ids(batch)
            part = self._run(self._text_tower, {"ids": ids, "mask": mask}, _TEXT)
            parts.append(Encoded(part["context"], part["slots"], part["local"], part["local_mask"]))
        return self._join(parts)

    def ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and mask of texts, (N, W) int64 each, as the text tower reads them; padding is
        outside the mask.

        Raises:
            DataError: a text contains no words.
            BundleError: the tokenizer is damaged.
        """
        return self._reader.ids(texts)

    def is_token(self, word: str) -> bool:
        """Whether the tokenizer has a word as one token, because it is frequent.

        Raises:
            BundleError: the tokenizer is damaged.
        """
        return self._reader.is_token(word)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Start and end of each token's word in a text, in the order of `Encoded.local`.

        All tokens of a word have the start and end of that word; the start and end tokens have
        None.

        Raises:
            DataError: the text contains no words.
            BundleError: the tokenizer is damaged.
        """
        return self._reader.words(text)

    def _run(
        self, tower: "InferenceSession", inputs: dict[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, Any]:
        try:
            return dict(zip(outputs, tower.run(list(outputs), inputs), strict=True))
        except Exception as error:  # ONNX Runtime's errors have no common base class
            raise BundleError(f"{self.folder}: the model cannot be run ({error})") from error

    def _join(self, parts: list[Encoded[np.ndarray]]) -> Encoded[np.ndarray]:
        if not parts:
            return empty(self.widths)
        encoded = concatenate(parts)
        found = (*encoded.context.shape[1:], *encoded.slots.shape[1:], encoded.local.shape[2])
        if found != self.config.shape:
            raise BundleError(f"{self.folder}: the model's widths {found} do not match config.json")
        return encoded

    @property
    def device(self) -> str:
        """The device that runs the image tower, such as `cpu`; see `hgan.runtime.device`."""
        return self._image_session[1]

    @property
    def image_batch(self) -> int:
        """Number of photos that are best encoded together: few on a processor, which has small
        caches."""
        return IMAGE_BATCH if candidates(named_device()) == [CPU] else DEVICE_IMAGE_BATCH

    @property
    def _image_tower(self) -> "InferenceSession":
        return self._image_session[0]

    @cached_property
    def _image_session(self) -> tuple["InferenceSession", str]:
        """The image tower, and its device."""
        vectors = ["context", *(["slots"] if self.widths["slots"] else [])]
        vectors += ["local"] if self.widths["local"] else []
        sample = self.preprocessing.sample()[None]
        session, device = open_on_device(
            self.folder / "image.onnx", named_device(), sample, vectors
        )
        states = () if self.patches is None else ("states",)
        self._check_outputs(session, (*_IMAGE, *states))
        return session, device

    @cached_property
    def _patch_network(self) -> "InferenceSession":
        session = open_session(self.folder / "patches.onnx", spin=False)
        self._check_outputs(session, ("patches",))
        return session

    @cached_property
    def _text_tower(self) -> "InferenceSession":
        # A sentence is many small steps: threads that sleep between them take twice as long.
        session = open_session(self.folder / "text.onnx", spin=True)
        self._check_outputs(session, _TEXT)
        return session

    @cached_property
    def _reader(self) -> TextReader:
        from tokenizers import Tokenizer

        path = self.folder / "tokenizer.json"
        try:
            return TextReader(Tokenizer.from_file(str(path)), self.config.max_words)
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"{path}: not a tokenizer ({error})") from error

    def _check_outputs(self, session: "InferenceSession", outputs: Sequence[str]) -> None:
        if missing := set(outputs) - {output.name for output in session.get_outputs()}:
            raise BundleError(
                f"{self.folder}: the model has no output {', '.join(sorted(missing))}"
            )


def _encoded(part: dict[str, Any]) -> Encoded[np.ndarray]:
    """Photos, of which all regions are real."""
    mask = np.ones(part["local"].shape[:2], np.bool_)
    return Encoded(part["context"], part["slots"], part["local"], mask)


def _check_file(path: Path, digest: str, known: set[str]) -> None:
    """Raise `BundleError` unless a file has this checksum, and needs no other file but its own
    `.data`, if that is among the known ones."""
    if not path.is_file():
        raise BundleError(f"{path}: is missing; get the bundle again")
    try:
        found = sha256(path)
        needed = external_files(path) if found == digest and path.suffix == ".onnx" else set()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BundleError(f"{path}: not a model that ONNX Runtime can run ({error})") from error
    if found != digest:
        raise BundleError(
            f"{path}: damaged, its checksum is not the one in config.json; get the bundle again"
        )
    if not needed <= {f"{path.name}.data"} & known:
        raise BundleError(
            f"{path}: some of its numbers are in another file, which has no checksum in "
            "config.json; export the model again, and get the bundle again"
        )
