"""The demo: with photos of one's own, and `make demo` as in a fresh clone."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[2]
COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "demo.py", "--to", folder / "demo"]
    bundle = write_tiny_bundle(folder / "bundle")
    return subprocess.run(
        [*command, "--bundle", bundle, *arguments], capture_output=True, text=True, cwd=folder
    )


@pytest.mark.slow
def test_searches_photos_of_ones_own(tmp_path: Path) -> None:
    photos = tmp_path / "my photos" / "inside"
    photos.mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (80, 64), colour).save(photos / f"{name}.jpg")
    (photos / "broken.jpg").write_bytes(b"no photo")
    first = run_demo(tmp_path, "--photos", str(tmp_path / "my photos"))
    assert first.returncode == 0, first.stderr
    assert "3 added, 0 unchanged, 1 skipped" in first.stdout
    assert "a dog running through the grass" in first.stdout
    for name in COLOURS:
        assert f"inside/{name}.jpg" in first.stdout
    with Image.open(tmp_path / "demo" / "sheet.png") as sheet:
        assert sheet.width > 700 and sheet.height > 1000
        assert len(np.unique(np.asarray(sheet.convert("L")))) > 3
    again = run_demo(tmp_path, "--photos", str(tmp_path / "my photos"))
    assert "0 added, 3 unchanged" in again.stdout


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run_demo(tmp_path, "--photos", str(tmp_path / "empty"))
    assert result.returncode == 1
    assert result.stderr.startswith("demo: ") and "no photos here" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_serves_them_as_a_page(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (80, 64), colour).save(tmp_path / f"photos/{name}.jpg")
    command = [sys.executable, ROOT / "scripts" / "demo.py", "--to", tmp_path / "demo", "--serve"]
    bundle = write_tiny_bundle(tmp_path / "bundle")
    with subprocess.Popen(
        [*command, "--bundle", bundle, "--photos", tmp_path / "photos"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            last = next(line for line in process.stdout if line.startswith("3 photos at http://"))
            with urlopen(last.split()[-1]) as page:
                assert "<title>Photos</title>" in page.read().decode()
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    assert (tmp_path / "demo/sheet.png").is_file()


@pytest.mark.slow
def test_make_demo_in_a_fresh_clone(tmp_path: Path) -> None:
    """As a new user runs it: own environment, no torch, small, pictures at the end."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so there is nothing to clone")
    clone = tmp_path / "clone"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    bundle = clone / "src" / "hgan" / "bundles" / "default"
    if not bundle.exists():  # before the first model is trained
        write_tiny_bundle(bundle)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PHOTOS")}
    result = subprocess.run(
        ["make", "demo", f"PYTHON={sys.executable}"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "12 added" in result.stdout
    assert "a cup of coffee on a wooden table" in result.stdout
    assert (clone / "demo" / "sheet.png").stat().st_size > 50_000

    venv = clone / ".venv-demo"
    packages = {path.name.lower() for path in venv.glob("lib/python3*/site-packages/*")}
    assert not packages & {"torch", "transformers", "matplotlib", "scipy"}
    size = sum(path.stat().st_size for path in venv.rglob("*") if not path.is_symlink())
    assert size < 400e6, f"{size / 1e6:.0f} MB"
