"""Files beside the code agree with it: the citation, and what is packed into a wheel."""

import tomllib
from pathlib import Path

import yaml

from hgan.version import __version__

ROOT = Path(__file__).parents[1]


def test_the_citation_is_of_this_version_and_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    # What version 1.2.0 of the format requires.
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["version"] == __version__
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= set(paper)
    assert (paper["year"], paper["volume"]) == (2023, 25)
    assert paper["identifiers"][0]["value"] == "arXiv:2212.08281"


def test_a_wheel_has_every_file_that_is_not_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["hgan"]
    package = ROOT / "src" / "hgan"
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file()}
    others = {path for path in files if path.suffix not in (".py", ".pyc")}
    assert len(others) > 20 and others <= packed, sorted(others - packed)
