"""The wheel of `make dist`, installed by pip, pipx and uv: it searches without torch."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.fixtures.photos import COLOURS, save_photo

ROOT = Path(__file__).parents[2]
OUTSIDE = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HGAN"))}
"""The environment without what leads to the sources here."""

PUBLIC = """
import sys
import hgan
for name in {names}:
    getattr(hgan, name)
assert hgan.__version__ == "{version}", hgan.__version__
assert "site-packages" in hgan.__file__, hgan.__file__
assert "torch" not in sys.modules
try:
    import torch
except ModuleNotFoundError:
    print("no torch")
"""
NAMES = ["Bundle", "Filter", "HganError", "Hit", "Index", "IndexReport", "Query"]
NAMES += ["index_folder", "index_texts", "open_index"]


def run(*command: object, cwd: Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=OUTSIDE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel and a source distribution; the wheel is built from the latter, as `build` does."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, cwd=ROOT)
    return folder


@pytest.mark.slow
def test_both_hold_what_they_should(dist: Path) -> None:
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    bundle = {
        f"hgan/bundles/default/{p.name}" for p in (ROOT / "src/hgan/bundles/default").iterdir()
    }
    page = {f"hgan/serve/web/{p.name}" for p in (ROOT / "src/hgan/serve/web").iterdir()}
    assert len(bundle) > 3 and len(page) > 3
    assert bundle | page | {"hgan/py.typed", "hgan/cli/__init__.py"} <= packed
    assert not [name for name in packed if name.split("/")[0] in ("tests", "scripts", "benchmarks")]
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"configs/flickr8k.yaml", "docs/model.md", "tests/conftest.py", "constraints.txt"}
    wanted |= {"LICENSE", "CHANGELOG.md", "Makefile", "mkdocs.yml", "src/hgan/serve/web/index.html"}
    assert wanted <= inside


@pytest.mark.slow
def test_a_fresh_environment_searches_with_the_wheel(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    bin_folder = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    python, hgan = bin_folder / "python", bin_folder / "hgan"
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile"]
    run(*install, "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    version = wheel.name.split("-")[1]
    assert (
        run(python, "-c", PUBLIC.format(names=NAMES, version=version), cwd=tmp_path) == "no torch\n"
    )

    assert_it_searches(hgan, tmp_path)


def assert_it_searches(hgan: Path, folder: Path) -> None:
    for i, (name, colour) in enumerate(COLOURS.items()):
        save_photo(folder / "photos" / f"{name}.png", colour, seed=i)
    index = ["--index", folder / "index"]
    told = run(hgan, "index", folder / "photos", "--to", folder / "index", cwd=folder)
    assert f"{len(COLOURS)} added" in told
    found = run(hgan, "search", "a plain red picture", "-k", "1", *index, cwd=folder)
    assert "red.png" in found


@pytest.mark.slow
@pytest.mark.parametrize("command", [["pipx", "install"], ["uv", "tool", "install"]])
def test_tools_that_install_programs_install_it(
    command: list[str], dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each program gets an environment of its own, and a command in a folder of commands."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    places = {"PIPX_HOME": "home", "PIPX_BIN_DIR": "bin", "UV_TOOL_DIR": "home"}
    places |= {"UV_TOOL_BIN_DIR": "bin", "UV_CACHE_DIR": "cache"}
    for name, folder in places.items():
        monkeypatch.setitem(OUTSIDE, name, str(tmp_path / folder))
    (wheel,) = dist.glob("*.whl")
    run(*command, wheel, cwd=tmp_path)
    hgan = tmp_path / "bin" / "hgan"
    assert run(hgan, "--version", cwd=tmp_path) == f"hgan {wheel.name.split('-')[1]}\n"
    assert_it_searches(hgan, tmp_path)
