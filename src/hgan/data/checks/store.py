"""Checks of a feature store: its checksums, and the features of every photo."""

from pathlib import Path

import numpy as np

from hgan.data.checks.report import Report
from hgan.data.features.store import FeatureStore
from hgan.errors import DataError
from hgan.progress import progress


def check_store(report: Report, folder: Path) -> None:
    """Add the shape of a feature store to a report, and features that are not finite or all
    zero."""
    try:
        store = FeatureStore(folder, verify=True)
    except DataError as error:
        report.add("error", "feature store cannot be used", [str(error)])
        return
    n, views, regions, width = store.regions.shape
    shape = {"photos": n, "views": views, "regions": regions, "width": width}
    report.counts[store.manifest.backbone] = shape
    skipped = store.manifest.skipped
    report.add("warning", "photo skipped", (f"{key}: {why}" for key, why in skipped.items()))
    with progress("check features", total=n, unit="photos") as bar:
        for key, row in store.rows.items():
            values = (store.regions[row], store.context[row])
            if not all(np.isfinite(part).all() for part in values):
                report.add("error", "features not finite", [f"row {row}: {key}"])
            elif not all(part.any() for part in values):
                report.add("error", "features all zero", [f"row {row}: {key}"])
            bar.advance()
