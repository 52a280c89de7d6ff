"""Word vectors: those of the vocabulary are read, malformed lines are reported."""

from pathlib import Path

import numpy as np
import pytest

from hgan.errors import DataError
from hgan.text.vectors import read_vectors

WORDS = {"<pad>": 0, "dog": 1, "cat": 2, "übung": 3, "horse": 4}


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "vectors.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_vectors_of_known_words_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "cat 1 -2.5 3e-1\nzebra 4 5 6\nübung 7 8 9\ndog 1 1 1\n")
    ids, values = read_vectors(path, WORDS)
    assert dict(zip(ids.tolist(), values.tolist(), strict=True)) == {
        2: [1, -2.5, pytest.approx(0.3)],
        3: [7, 8, 9],
        1: [1, 1, 1],
    }
    assert values.dtype == np.float32 and ids.dtype == np.int64


def test_odd_words_of_real_files_are_no_obstacle(tmp_path: Path) -> None:
    """Words with spaces, with line ends of other alphabets, in other encodings; Windows' lines."""
    lines = [b". . . 1 2", b"at name@domain.com 1 2", "a\x85b\u2028c 1 2".encode(), b"\xff\xfe 1 2"]
    path = write(tmp_path, b"dog 3 4\r\n" + b"\r\n".join(lines) + b"\r\ncat 5 6 ")
    ids, values = read_vectors(path, WORDS)
    assert ids.tolist() == [1, 2] and values.tolist() == [[3, 4], [5, 6]]


def test_a_file_may_know_none_of_the_words(tmp_path: Path) -> None:
    ids, values = read_vectors(write(tmp_path, "zebra 1 2 3\n"), WORDS)
    assert ids.shape == (0,) and values.shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog 1 2\ncat 1\n", r":2: 1 numbers after the word, expected 2 as in the first line"),
        ("dog 1 2\nzebra 1 2 3\n", r":2: 3 numbers after the word, expected 2"),
        ("dog 1 2\n\ncat 1 2\n", r":2: 0 numbers"),
        ("dog\n", r":1: 0 numbers after the word, expected at least one"),
        ("\n", r":1: 0 numbers"),
        ("2 3\ndog 1 2 3\n", r":2: 3 numbers after the word, expected 1 as in the first line"),
        ("dog 1 2\ncat 1 two\n", r":2: could not convert.*two"),
        ("dog 1 2\ncat 1 nan\n", r":2: a number that is not finite"),
        ("dog 1 1e39\n", r":1: a number that is not finite"),
        ("", "contains no word vectors"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_malformed_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        read_vectors(write(tmp_path, content), WORDS)
    assert "vectors.txt" in str(raised.value)


def test_a_missing_file_is_an_error_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="word vectors cannot be read"):
        read_vectors(tmp_path / "none.txt", WORDS)
