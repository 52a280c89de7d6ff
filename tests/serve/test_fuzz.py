"""Whatever the service's own description allows, and much that it does not, gets a response that is
described there; no file is written outside the folder of photos."""

import io
import shutil

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from hgan.index.indexer import index_folder
from hgan.serve.app import create_app
from hgan.serve.settings import Settings
from tests.serve.conftest import KEY, public_id

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROUTES = 18

ODD = st.sampled_from(
    [
        "\0", "\ud800", "\u202egnp.exe", "\U0001f468\u200d\U0001f469", "../../../etc/passwd",
        "/etc/passwd", "..\\..\\win.ini", "%2e%2e%2f", "' OR 1=1 --", "${jndi:ldap://x}",
        "<script>", "{{7*7}}", "\r\nX-A: b", "x" * 5000, "red " * 10_000, "", " ",
        "-1", "1e309", "NaN", "9" * 400,
    ]
)  # fmt: skip
"""What people try."""


@pytest.fixture
def place(photos, bundle, tmp_path):
    """An index of photos that may be changed."""
    shutil.copytree(photos, tmp_path / "photos")
    index_folder(tmp_path / "photos", tmp_path / "index", bundle)
    return tmp_path / "index"


@pytest.mark.parametrize("examples", [10, pytest.param(150, marks=pytest.mark.slow)])
def test_every_answer_is_described(place, tmp_path, examples):
    # An app of its own: schemathesis starts it, and shuts it down. It uses this host name.
    app = create_app(place, Settings(keys=(KEY,), hosts=("testserver",)))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == ROUTES
    # What is removed would be missing for the others.
    operations.sort(key=lambda operation: operation.method.upper() == "DELETE")
    around = set(tmp_path.iterdir())
    seen: set[tuple[str, int]] = set()
    for operation in operations:
        modes = [GenerationMode.POSITIVE]
        if operation.path_parameters or operation.body or operation.query:
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            _fuzz(operation, mode, examples, seen, public_id(app, "green 0.png"))
    assert set(tmp_path.iterdir()) == around
    assert {path.suffix for path in (tmp_path / "photos").rglob("*") if path.is_file()} == {".png"}
    expected = {
        ("GET /v1/items/{key}/thumbnail", 200),
        ("POST /v1/search", 200),
        ("POST /v1/search", 422),
        ("POST /v1/search/batch", 200),
        ("POST /v1/search/photo", 200),
        ("POST /v1/items", 201),
        ("POST /v1/items", 401),
        ("DELETE /v1/items/{key}", 204),
        ("DELETE /v1/items/{key}", 401),
        ("GET /v1/status", 200),
    }
    assert expected <= seen, expected - seen


def _fuzz(operation, mode, examples, seen, key):
    label = operation.label

    @seed(0)
    @given(operation.as_strategy(generation_mode=mode), st.booleans(), st.booleans(), ODD)
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def ask(case, known, keyed, odd):
        if keyed:
            case.headers["X-API-Key"] = KEY
        else:
            case.headers.pop("X-API-Key", None)
        if known:
            _make_known(case, key)
        elif isinstance(case.body, dict) and "text" in case.body:
            form = case.media_type == "multipart/form-data"  # which no lone surrogate can be in
            case.body["text"] = odd.encode("utf-8", "replace").decode() if form else odd
        answer = case.call_and_validate(checks=CHECKS)
        seen.add((label, answer.status_code))

    ask()
    # By chance alone, hardly any photo is ever hit or whole: each route has one that is.
    case = operation.Case(**_good(operation, key))
    seen.add((label, case.call_and_validate(checks=CHECKS).status_code))


def _make_known(case, key):
    if "key" in (case.path_parameters or {}):
        case.path_parameters["key"] = key
    if isinstance(case.body, dict):
        if "photo" in case.body:
            case.body["photo"] = photo()
        if "path" in case.body and isinstance(case.body["path"], str):
            case.body["path"] = f"{case.body['path'][:50]}.png"


def _good(operation, key):
    bodies = {
        "/v1/search": {"text": "red"},
        "/v1/search/batch": {"queries": [{"text": "red"}, {"like": key}]},
        "/v1/search/photo": {"photo": photo()},
        "/v1/items": {"photo": photo(), "path": "new/yellow.png", "replace": False},
        "/v1/lookup": {"path": "green 0.png"},
        "/v1/explain": {"id": key, "text": "green"},
    }
    good = {"headers": {"X-API-Key": KEY}}
    if "{key}" in operation.path:
        good["path_parameters"] = {"key": key}
    if operation.path in bodies:
        form = operation.path in ("/v1/search/photo", "/v1/items")
        good["body"] = bodies[operation.path]
        good["media_type"] = "multipart/form-data" if form else "application/json"
    return good


def photo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (230, 230, 20)).save(file, "PNG")
    return file.getvalue()
