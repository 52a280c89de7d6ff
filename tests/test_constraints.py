"""constraints.txt: each package that an extra needs is pinned, to a version that everybody accepts.

A check of this file alone, not of known vulnerabilities: see docs/security.md.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
FILE = ROOT / "constraints.txt"
TOOLS = "pip", "setuptools", "pre-commit"
"""Pinned for installing, building and commits; no extra needs them."""
ALONE = "scikit-image"
"""Installed without what it needs, by the Makefile."""
Systems = Sequence[Mapping[str, str]]
SYSTEMS: Systems = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
)
THIS: Systems = ({},)
Needs = Callable[[str], Iterable[str]]
"""The requirements of a package, by its name."""


def pins() -> dict[str, str]:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in found}
    assert len(versions) == len(found) > 100  # none twice
    return versions


def extras() -> dict[str, list[Requirement]]:
    """The requirements of each extra; those without an extra are named `runtime`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"runtime": project["dependencies"], **project["optional-dependencies"]}
    found = {name: list(map(Requirement, texts)) for name, texts in groups.items()}
    # `dev` names other extras, which are checked by themselves.
    return {name: [r for r in group if r.name != "hgan"] for name, group in found.items()}


EXTRAS = extras()


def everything(
    roots: Iterable[Requirement], needs: Needs, systems: Systems = SYSTEMS
) -> Iterator[tuple[str, Requirement]]:
    """Who needs what, from the roots to what the last package needs, on one of the systems."""
    todo, seen = [("pyproject.toml", root) for root in roots], set()
    while todo:
        who, requirement = todo.pop()
        yield who, requirement
        name = canonicalize_name(requirement.name)
        if (key := (name, frozenset(requirement.extras))) in seen:
            continue
        seen.add(key)
        for text in needs(name):
            needed = Requirement(text)
            if is_needed(needed, requirement.extras, systems):
                todo.append((name, needed))


def is_needed(requirement: Requirement, chosen: set[str], systems: Systems) -> bool:
    """Whether it applies on one of the systems, with one of the chosen extras or without any."""
    if requirement.marker is None:
        return True
    environments = [{**default_environment(), **system} for system in systems]
    return any(
        requirement.marker.evaluate({**environment, "extra": extra})
        for environment in environments
        for extra in ("", *chosen)
    )


def problems(roots: Iterable[Requirement], needs: Needs) -> list[str]:
    """Packages without a pin, and pins that somebody does not accept."""
    pinned, found = pins(), []
    for who, requirement in everything(roots, lambda name: needs(name) if name in pinned else ()):
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{who} needs {requirement}, which is not pinned")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{who} needs {requirement}, but {version} is pinned")
    return found


def installed(name: str) -> list[str]:
    """What a package needs, if it is installed."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


@pytest.mark.parametrize("extra", EXTRAS)
def test_all_that_an_extra_needs_is_pinned_to_a_version_in_its_range(extra: str) -> None:
    """As far as it is installed. Another test is that nothing is missing but `docs`, which is in an
    environment of its own, and `mteb`, which is large; the last test checks them, too."""
    assert EXTRAS[extra]
    assert problems(EXTRAS[extra], installed) == []


def test_what_is_not_pinned_is_found() -> None:
    needs = {"httpx": ["nobody>=1", "numpy<1", "certifi; sys_platform == 'win32'"]}.get
    found = problems([Requirement("httpx>=0.28,<1")], lambda name: needs(name, []))
    version = pins()["numpy"]
    assert sorted(found) == [
        "httpx needs nobody>=1, which is not pinned",
        f"httpx needs numpy<1, but {version} is pinned",
    ]
    assert problems([Requirement("httpx>=99")], lambda _: []) == [
        f"pyproject.toml needs httpx>=99, but {pins()['httpx']} is pinned"
    ]


def test_the_pinned_versions_are_those_that_the_tests_run_with() -> None:
    versions = {canonicalize_name(d.name): Version(d.version) for d in metadata.distributions()}
    apart = "docs", "fuzz", "mteb", "ray"  # are installed only when they are needed
    roots = [r for name, group in EXTRAS.items() if name not in apart for r in group]
    wanted = {canonicalize_name(r.name) for _, r in everything(roots, installed, THIS)}
    assert len(wanted) > 100 and wanted <= versions.keys()
    differ = {
        name: f"{versions[name]} is installed, {version} is pinned; run make again"
        for name, version in pins().items()
        if name in versions and versions[name].public != version
    }
    assert differ == {}


@pytest.mark.slow
def test_the_index_has_every_pinned_version_and_none_is_yanked(tmp_path: Path) -> None:
    """Also: each package needs only pinned ones, and each pin is needed by a package."""

    def pip(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pip", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if pip("index", "versions", "--retries", "0", "pip").returncode:
        pytest.skip("no package index can be reached")
    report = tmp_path / "report.json"
    words = ["--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", str(report)]
    done = pip("install", *words, "-r", str(FILE))
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))["install"]
    packages = {canonicalize_name(entry["metadata"]["name"]): entry for entry in found}
    assert packages.keys() == pins().keys()
    assert [name for name, entry in packages.items() if entry["is_yanked"]] == []

    def needs(name: str) -> list[str]:
        return [] if name == ALONE else packages[name]["metadata"].get("requires_dist", [])

    roots = [requirement for group in EXTRAS.values() for requirement in group]
    roots += map(Requirement, (*TOOLS, ALONE))
    assert problems(roots, needs) == []
    needed = {canonicalize_name(r.name) for _, r in everything(roots, needs)}
    assert needed == pins().keys()
