"""The data set of the checks' tests."""

from typing import Any

import pytest

from tests.fixtures.check_data import four_records


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Four photos with a caption each: two of train, one of val, one of test."""
    return four_records()
