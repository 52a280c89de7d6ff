"""A complete feature store."""

from pathlib import Path

import pytest

from tests.fixtures.feature_store import complete


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return complete(tmp_path / "store")
