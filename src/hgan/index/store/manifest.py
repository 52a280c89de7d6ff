"""The manifest of an index: location of its photos or texts, bundle, and widths of its vectors."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from hgan.errors import BundleError, ConfigError, IndexingError
from hgan.runtime.bundle import Bundle, default_bundle
from hgan.runtime.bundle_config import MAX_REGIONS, MAX_WIDTH
from hgan.runtime.ranges import check_choice, check_integer, check_text
from hgan.runtime.similarity import dense_width
from hgan.sources.open import roots_of
from hgan.sources.roots import Roots

FORMAT_VERSION = 4
"""Version of the manifest. Version 1 has no `quantize`; its photos have no time, camera and tags.
Version 2 has no `holds` and no `regions`: it contains photos, with all regions of the model.
Version 3 has no `points`; its items have no checksums.

User tags (`user_tags` of a photo) were added later without a new version: older versions of hgan
show them and filter by them like other tags, but lose them for photos that they index again."""

FOLDERS_VERSION = 5
"""Version of the manifest of an index of several folders, which has `folders`."""

Quantize = Literal["int8"]
"""Vector formats that are smaller than float16."""

Holds = Literal["photos", "texts"]
"""What an index contains."""


@dataclass(frozen=True)
class IndexManifest:
    """The content of `index.json`, or the metadata of a collection on a server."""

    root: str
    """Absolute path of the folder of photos or the file of texts; or an address of photos. Of
    several folders, the first one."""
    bundle: str
    """Id of the bundle that encoded the items."""
    bundle_name: str
    bundle_path: str | None
    """Folder of that bundle; None for the bundle that ships with hgan."""
    dense: int
    """Width of the dense vectors."""
    local: int
    """Width of the local vectors."""
    quantize: Quantize | None = None
    """None for vectors in float16; `int8` for 8 bits per number. Indexes of older versions have
    their dense vectors in both."""
    holds: Holds = "photos"
    regions: int | None = None
    """Number of local vectors per photo, if fewer than the model has; None for all of them."""
    exclude: tuple[str, ...] | None = None
    """Rules of gitignore for files that are left out, see `hgan.sources.rules`; None for none."""
    points: int | None = None
    """Number of items when the index was last closed; None while it is changed, after a change that
    was interrupted, and on a server, where several processes may change it at once."""
    generation: int = 0
    """How often the index was built anew, see `hgan.index.store.generations`."""
    folders: Mapping[str, str] | None = None
    """Absolute paths of further folders of photos by name, see `hgan.sources.roots`."""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        """Check all fields.

        Raises:
            ValueError: a field has a wrong type, or is out of range.
        """
        for name in ("root", "bundle", "bundle_name"):
            check_text(name, getattr(self, name))
        if self.bundle_path is not None:
            check_text("bundle_path", self.bundle_path)
        check_integer("dense", self.dense, 0, MAX_WIDTH)
        check_integer("local", self.local, 0, MAX_WIDTH)
        check_choice("quantize", self.quantize, (None, *get_args(Quantize)))
        check_choice("holds", self.holds, get_args(Holds))
        if self.regions is not None:
            check_integer("regions", self.regions, 1, MAX_REGIONS)
        for rule in self.exclude or ():
            check_text("exclude", rule)
        if self.points is not None:
            check_integer("points", self.points, 0, 2**53)
        check_integer("generation", self.generation, 0, 2**31)
        if self.folders is not None:
            self._check_folders(self.folders)
        newest = FORMAT_VERSION if self.folders is None else FOLDERS_VERSION
        check_integer("format_version", self.format_version, 1, newest)

    def _check_folders(self, folders: Any) -> None:
        if not isinstance(folders, dict) or not folders:
            raise ValueError("folders must be paths by name")
        for name, folder in folders.items():
            check_text("name of a folder", name)
            check_text("folder", folder)
            if not name or "/" in name or not Path(folder).is_absolute():
                raise ValueError(
                    f"folders must be absolute paths by name, not {name!r}: {folder!r}"
                )

    @classmethod
    def of(
        cls,
        root: Path | str,
        bundle: Bundle,
        quantize: Quantize | None = None,
        holds: Holds = "photos",
        regions: int | None = None,
        exclude: tuple[str, ...] | None = None,
        folders: Mapping[str, Path | str] | None = None,
    ) -> "IndexManifest":
        """The manifest of an index of these photos or texts with this bundle.

        Raises:
            ConfigError: the name of the bundle or of what is indexed is not UTF-8, or too long.
        """
        path = bundle.folder.resolve()
        config = bundle.config
        try:
            return cls(
                root=root if isinstance(root, str) else str(root.resolve()),
                bundle=bundle.id,
                bundle_name=config.name,
                bundle_path=None if path == default_bundle().resolve() else str(path),
                dense=dense_width(config.widths, config.weights),
                local=config.widths["local"] if config.weights["local"] else 0,
                quantize=quantize,
                holds=holds,
                regions=None if regions is None else int(regions),  # also from subclasses of int
                exclude=exclude,
                folders={n: str(place) for n, place in folders.items()} if folders else None,
            )
        except ValueError as error:
            raise ConfigError(
                f"{root}, {path}: an index cannot store these names ({error}); rename or move them"
            ) from error

    @classmethod
    def parse(cls, values: Any, where: object) -> "IndexManifest":
        """Parse the manifest of the index in `where`.

        Raises:
            IndexingError: the manifest is damaged, or of a newer format.
        """
        try:
            version = values["format_version"]
            newest = FORMAT_VERSION if values.get("folders") is None else FOLDERS_VERSION
            if type(version) is int and version > newest:
                raise IndexingError(
                    f"{where}: format version {version}, this program reads up to "
                    f"{newest}; upgrade hgan"
                )
            exclude = values.get("exclude")
            return cls(**{**values, "exclude": exclude if exclude is None else tuple(exclude)})
        except (KeyError, TypeError, ValueError) as error:
            raise IndexingError(f"{where}: damaged ({error}); remove it and index again") from error

    def as_dict(self) -> dict[str, Any]:
        """The manifest as JSON values; without `folders` for one folder, as it was before."""
        values = asdict(self)
        if self.folders is None:
            del values["folders"]
        else:
            values |= {"folders": dict(self.folders), "format_version": FOLDERS_VERSION}
        return values

    @property
    def roots(self) -> Roots:
        """Where the photos are."""
        return roots_of(self.root, self.folders)

    def updated(self, wanted: "IndexManifest") -> "IndexManifest":
        """This manifest with the rules and the further folders of another one, if that has some."""
        exclude = self.exclude if wanted.exclude is None else wanted.exclude
        folders = {**(self.folders or {}), **(wanted.folders or {})}
        return replace(self, exclude=exclude, folders=folders or None)

    @property
    def has_bundle(self) -> bool:
        """Whether there is still a folder where the bundle was."""
        return self.bundle_path is None or Path(self.bundle_path).is_dir()

    def load_bundle(self) -> Bundle:
        """The bundle that encoded the items, from the folder where it was.

        Raises:
            BundleError: it is no longer there, or damaged.
        """
        if not self.has_bundle:
            raise BundleError(
                f"{self.bundle_path}: no model bundle here any more; the index was made with "
                f"{self.bundle_name}. Restore the folder, or name its new place: `--model MODEL` "
                "for one command, and `hgan index --model MODEL` with the --to of the index for "
                "all later ones"
            )
        return Bundle.load(None if self.bundle_path is None else Path(self.bundle_path))

    def check_bundle(self, where: object, wanted: "IndexManifest") -> None:
        """Raise `IndexingError` unless the index in `where` was made with the bundle of `wanted`,
        and has its widths."""
        if wanted.bundle != self.bundle:
            raise IndexingError(
                f"{where}: made with bundle {self.bundle_name} ({self.bundle}), not with "
                f"{wanted.bundle_name} ({wanted.bundle}); use that bundle, or build the "
                "index anew with this one: `hgan index --to INDEX --rebuild --model MODEL`"
            )
        if (wanted.dense, wanted.local) != (self.dense, self.local):
            raise IndexingError(
                f"{where}: damaged, the widths of its vectors are {self.dense} and {self.local}, "
                f"but those of its bundle are {wanted.dense} and {wanted.local}; remove the index "
                "and index again"
            )

    def check_same(self, where: object, wanted: "IndexManifest") -> None:
        """Raise `IndexingError` unless the index in `where` matches the manifest `wanted`.

        `quantize` and `regions` may be None in `wanted`, and then match any value; `exclude` may
        differ. Of several folders, `wanted` may lack some, and have others in addition.
        """
        self.check_bundle(where, wanted)
        if wanted.root != self.root:
            raise IndexingError(
                f"{where}: contains the {self.holds} of {self.roots}; index {wanted.root} into "
                f"another index{self._adding(where, wanted)}"
            )
        self._check_names(where, wanted)
        if wanted.quantize not in (None, self.quantize):
            raise IndexingError(
                f"{where}: made {f'with {self.quantize}' if self.quantize else 'without'} "
                f"quantization, not with {wanted.quantize}; omit the option, or remove the index "
                "and index again"
            )
        if wanted.regions not in (None, self.regions):
            kept = "all regions" if self.regions is None else f"{self.regions} regions"
            raise IndexingError(
                f"{where}: made with {kept} per photo, not with {wanted.regions}; omit the option, "
                "or remove the index and index again"
            )

    def _adding(self, where: object, wanted: "IndexManifest") -> str:
        """How the folder of `wanted` is added to this index; empty if it cannot be added."""
        if self.holds != "photos" or wanted.holds != "photos" or "://" in self.root + wanted.root:
            return ""
        words = ["hgan", "index", self.root, wanted.root, "--to", str(where)]
        return f", or add it to this one: `{shlex.join(words)}`"

    def _check_names(self, where: object, wanted: "IndexManifest") -> None:
        """Raise `IndexingError` if a folder has another name than in `wanted`."""
        own, other = self.folders or {}, wanted.folders or {}
        places = {folder: name for name, folder in own.items()}
        for name, folder in other.items():
            if own.get(name, folder) != folder or places.get(folder, name) != name:
                raise IndexingError(
                    f"{where}: its folders were changed by another process; run the command again"
                )
