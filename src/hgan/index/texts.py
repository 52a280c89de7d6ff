"""Index the sentences of a file, so that they can be found by text or by photo.

Sentences are stored as they are encoded, so the next run continues an interrupted one.
"""

from pathlib import Path

from hgan.errors import DataError
from hgan.index.open import open_to_write, optimize
from hgan.index.points import points_of
from hgan.index.report import IndexReport
from hgan.index.sentences import find_sentences
from hgan.index.store.contract import FLUSH_EVERY, Entry, Store
from hgan.index.store.manifest import Quantize
from hgan.progress import progress
from hgan.runtime.bundle import TEXT_BATCH, Bundle


def index_texts(
    file: Path | str,
    to: Path | str,
    bundle: Bundle | Path | None = None,
    quantize: Quantize | None = None,
) -> IndexReport:
    """Bring an index up to date with the sentences of a file.

    A sentence is identified by its text and its photo, not by its position in the file. A sentence
    without words that the model can read is skipped and listed in the report.

    Args:
        file: a caption file of any format, or a `.txt` file with one sentence per line.
        to: the index, see `index_folder`.
        bundle: the model, or its folder; by default that of the index if it exists, or else the
            bundle that ships with hgan.
        quantize: `int8` for smaller vectors in a new index, see `IndexManifest`.

    Raises:
        HganError: the file does not exist or contains no sentences.
        IndexingError: the index contains other texts, was made with another bundle, is open in
            another process, or cannot be written.
    """
    file = Path(file)
    report = IndexReport()
    entries = find_sentences(file, report.skipped)  # before an index is created
    with open_to_write(file, to, bundle, quantize, "texts") as (store, used, _):
        stored = {entry.id: entry for entry in store.entries()}
        changed = [entry for entry in entries if stored.get(entry.id) != entry]
        report.unchanged = len(entries) - len(changed)
        report.updated = sum(entry.id in stored for entry in changed)
        refused = _encode_texts(changed, store, used)
        report.added = len(changed) - report.updated - len(refused)
        report.skipped |= {repr(entry.text): reason for entry, reason in refused}
        gone = list(stored.keys() - {entry.id for entry in entries})
        report.removed = len(gone)
        if gone:
            store.delete(gone)
        optimize(store)
    return report


def _encode_texts(entries: list[Entry], store: Store, bundle: Bundle) -> list[tuple[Entry, str]]:
    """Encode and store sentences; returns those that the model cannot read, with the reason."""
    refused: list[tuple[Entry, str]] = []
    readable: list[Entry] = []
    for entry in entries:
        try:
            bundle.words(entry.text)
            readable.append(entry)
        except DataError as error:
            refused.append((entry, str(error)))
    readable.sort(key=lambda entry: entry.size)  # a batch is padded to its longest sentence
    with progress("index", total=len(readable), unit="sentences") as bar:
        for start in range(0, len(readable), TEXT_BATCH):
            batch = readable[start : start + TEXT_BATCH]
            encoded = bundle.encode_texts([entry.text for entry in batch])
            store.upsert(points_of(batch, encoded, bundle.config.weights))
            if start // FLUSH_EVERY != (start + TEXT_BATCH) // FLUSH_EVERY:
                store.flush()
            bar.advance(len(batch))
    return refused
