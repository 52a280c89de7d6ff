"""Models by name or folder: exported into the cache once, then used without torch or a network."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi, ModelCard

import hgan
from hgan.cli import main
from hgan.errors import ConfigError, DataError
from hgan.loading import load_bundle
from hgan.runtime.bundle import Bundle
from tests.fixtures.dual_encoders import TEXTS, own_features, write_dual_encoder
from tests.fixtures.hub import hub_of
from tests.fixtures.scenes import draw_scene, save_scene
from tests.fixtures.tiny_bundle import write_tiny_bundle

NAME = "someone/tiny-clip"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    write_dual_encoder("clip", folder)
    (folder / "README.md").write_text("---\nlanguage: de\nlicense: mit\n---\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hub(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model in the hub's cache, in the hub's own layout, and no network."""
    root = tmp_path_factory.mktemp("hub")
    place = root / "models--someone--tiny-clip"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model, place / "snapshots" / ("0" * 40))
    import huggingface_hub.constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        yield root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests of this module, so that the model is exported once."""
    monkeypatch.setenv("HGAN_CACHE", str(cache))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        save_scene(folder / f"{number}.jpg", number)
    lines = [{"image": f"{i}.jpg", "captions": [TEXTS[i]], "split": "test"} for i in range(4)]
    file = folder / "captions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.slow
def test_a_name_on_the_hub(hub: Path, model: Path, cache: Path) -> None:
    bundle = hgan.load(NAME)
    assert isinstance(bundle, Bundle) and bundle.folder.is_relative_to(cache)
    assert (bundle.name, bundle.languages) == (NAME, ("de",))
    photo = draw_scene(0).resize((120, 90))
    images, texts = own_features(model, [photo], TEXTS)
    found = hgan.similarity(bundle.encode_image(photo), bundle.encode_text(TEXTS))
    np.testing.assert_allclose(found, images @ texts.T, atol=1e-4)
    made = (bundle.folder / "config.json").stat().st_mtime_ns
    for again in (load_bundle(NAME), load_bundle(f"hf-hub:{NAME}")):
        assert again.id == bundle.id and again.folder == bundle.folder
    assert (bundle.folder / "config.json").stat().st_mtime_ns == made


@pytest.mark.slow
def test_index_search_and_evaluate_by_name(
    hub: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = str(tmp_path / "index")
    assert main(["index", str(photos), "--to", to, "--model", NAME]) == 0
    assert capsys.readouterr().out.startswith("4 added")
    assert main(["search", TEXTS[0], "--index", to, "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert len(hits) == 4 and all(set(hit["levels"]) == {"context"} for hit in hits)
    assert main(["index", str(photos), "--to", to]) == 0  # with the model of the index
    assert "4 unchanged" in capsys.readouterr().out
    assert main(["info", to]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (lines["model"], lines["languages"], lines["count"]) == (NAME, "de", "4")
    assert lines["levels"] == "context 1"
    assert main(["evaluate", NAME, "--captions", str(photos / "captions.jsonl"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["model"] == NAME
    assert set(record["protocols"]["full"]) == {"context"}
    assert main(["explain", str(photos / "0.jpg"), TEXTS[0], "--model", NAME]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("level\tcontext") and "word\t" not in shown.out
    assert "from the patch tokens of CLIP, without the last attention; approx" in shown.err


@pytest.mark.slow
def test_once_exported_it_needs_neither_torch_nor_the_hub(
    hub: Path, photos: Path, tmp_path: Path, cache: Path
) -> None:
    load_bundle(NAME)
    code = """
import sys
for name in ("torch", "transformers", "huggingface_hub", "onnx", "safetensors"):
    sys.modules[name] = None
from hgan.cli import main
photos, to, name = sys.argv[1:]
assert main(["index", photos, "--to", to, "--model", name]) == 0
assert main(["search", "a dog", "--index", to]) == 0
"""
    command = [sys.executable, "-c", code, str(photos), str(tmp_path / "index"), NAME]
    environment = {**os.environ, "HGAN_CACHE": str(cache), "HF_HUB_CACHE": str(tmp_path / "none")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 5


@pytest.mark.slow
def test_a_damaged_bundle_in_the_cache_is_exported_again(hub: Path) -> None:
    bundle = load_bundle(NAME)
    intact = (bundle.folder / "text.onnx").read_bytes()
    (bundle.folder / "text.onnx").write_bytes(intact[:-1])
    assert load_bundle(NAME).id == bundle.id
    assert (bundle.folder / "text.onnx").read_bytes() == intact


@pytest.mark.slow
def test_a_folder_is_exported_again_when_it_changes(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "mine")
    first = load_bundle(folder)
    assert first.name == "mine" and load_bundle(str(folder)).folder == first.folder
    import transformers

    changed = transformers.AutoModel.from_pretrained(folder)
    changed.visual_projection.weight.data.neg_()
    changed.save_pretrained(folder)
    second = load_bundle(folder)
    assert second.id != first.id
    photo = draw_scene(0)
    one, other = (each.encode_image(photo).context for each in (first, second))
    np.testing.assert_allclose(one, -other, atol=1e-5)


def test_a_bundle_is_used_where_it_is(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle")
    assert load_bundle(folder).folder == folder
    assert load_bundle(Bundle.load(folder)).folder == folder
    assert load_bundle().name == Bundle.load().name


def test_without_a_network_the_message_says_so(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"someone/else: no such folder here; .*cannot be reached"):
        load_bundle("someone/else")
    assert main(["export", "someone/else", "unused"]) == 2
    assert "cannot be reached" in capsys.readouterr().err
    assert main(["export", "no such name", "unused"]) == 2
    assert "no such folder, and not a name on the hub" in capsys.readouterr().err


def test_without_torch_the_message_says_what_to_install(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HGAN_CACHE", str(tmp_path))  # where nothing is exported yet
    monkeypatch.setattr("hgan.loading.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"exported once, which needs torch: pip install"):
        load_bundle(model)


def test_what_is_not_a_model(tmp_path: Path) -> None:
    for source, message in ((tmp_path, "no model here"), (tmp_path / "none", "no such folder")):
        with pytest.raises(DataError, match=message):
            load_bundle(source)


@pytest.mark.slow
def test_a_checkpoint_goes_to_the_hub_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uploaded and downloaded over HTTP: the same model, with its card; and the verbs take it."""
    from tests.fixtures.tiny_checkpoint import save_model

    checkpoint = save_model(tmp_path, ["context", "shared", "local"])
    name = "someone/my-hgan"
    with hub_of({}, tmp_path / "cache") as asked:
        own = hgan.HGAN.from_pretrained(checkpoint)
        own.push_to_hub(name, private=True)
        files = {path.name for path in (tmp_path / "uploads" / name).iterdir()}
        assert {"README.md", "model.safetensors", "config.json", "tokenizer.json"} <= files
        card = ModelCard.load(tmp_path / "uploads" / name / "README.md")
        assert card.data.library_name == "hgan" and "--model NAME" in card.text
        asked.clear()

        found = hgan.load(name)
        assert isinstance(found, hgan.HGAN) and found.id == own.id
        texts = ["a red dog", "the cat"]
        np.testing.assert_array_equal(found.encode_text(texts).dense, own.encode_text(texts).dense)

        bundle = tmp_path / "bundle"
        assert main(["export", f"hf-hub:{name}", str(bundle)]) == 0
        assert capsys.readouterr().out == f"{bundle}\n"
        exported = hgan.load(bundle)
        assert isinstance(exported, Bundle)
        photo = draw_scene(0).resize((64, 64))
        for a, b in ((exported, own), (hgan.load(f"hf-hub:{name}"), own)):
            np.testing.assert_allclose(
                a.encode_image(photo).dense, b.encode_image(photo).dense, atol=1e-4
            )

        # A bundle is uploaded with the hub's own client, and used without torch.
        api = HfApi()
        api.create_repo("someone/my-bundle")
        api.upload_folder(repo_id="someone/my-bundle", folder_path=bundle)
        again = load_bundle("someone/my-bundle")
        assert again.id == exported.id
        assert main(["export", "hf-hub:someone/my-bundle", str(tmp_path / "other")]) == 2
        assert "is a bundle already; it can be used as it is" in capsys.readouterr().err


def test_a_revision_of_a_model_on_the_hub(tmp_path: Path) -> None:
    models = {
        name: write_tiny_bundle(tmp_path / name, seed) for seed, name in enumerate(("a", "b"))
    }
    repositories = {"someone/both": {"main": models["a"], "v2": models["b"]}}
    with hub_of(repositories, tmp_path / "cache"):
        assert hgan.load("someone/both").id == Bundle.load(models["a"]).id
        assert hgan.load("someone/both", revision="v2").id == Bundle.load(models["b"]).id
        with pytest.raises(DataError, match="there is no revision v3 on the hub"):
            hgan.load("someone/both", revision="v3")
        with pytest.raises(DataError, match="someone/none: neither a folder here nor a model on"):
            hgan.load("someone/none")
