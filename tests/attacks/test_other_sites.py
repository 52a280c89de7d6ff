"""Attacks on a service from pages of other sites, and under other host names."""
# ruff: noqa: F401, F811 - fixtures of the service are imported

from uuid import uuid4

import pytest

from hgan.errors import ConfigError
from hgan.serve.settings import Settings
from tests.serve.conftest import HERE, KEY, address, client, index, made, photos, public_id, serve

RED = "red 0.png"
PHOTO = "/v1/items/{}/photo"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "localhost.evil.example", "localhost@evil.example",
        "127.0.0.1.evil.example", "10.0.0.7", "[::2]", "[::1", "localhost:80:80", "", "localhost/x",
    ],
)  # fmt: skip
def test_other_host_names_are_refused(client, host):
    for path in ("/", "/health", "/v1/status", PHOTO.format(public_id(client.app, RED))):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:1", "[::1]:8000"]
)
def test_this_machine_is_always_allowed(client, host):
    assert client.get("/health", headers={"host": host}).status_code == 200


def test_hosts_of_the_settings(serve):
    client = serve(hosts=("192.168.1.5", "photos.example.org"))
    status = {
        name: client.get("/health", headers={"host": name}).status_code
        for name in ("192.168.1.5:8000", "Photos.Example.org", "192.168.1.6", "example.org")
    }
    assert list(status.values()) == [200, 200, 421, 421]


def test_every_address_but_no_name_where_the_service_listens_on_all(serve):
    client = serve(hosts=("0.0.0.0",))
    status = {
        name: client.get("/health", headers={"host": name}).status_code
        for name in ("192.168.1.5:8000", "[fe80::1]", "evil.example")
    }
    assert list(status.values()) == [200, 200, 421]


@pytest.mark.parametrize("name", ["http://a.example", "a.example/x", "*", "a b", ""])
def test_hosts_that_are_no_names(name):
    with pytest.raises(ConfigError, match="is not a host name"):
        Settings(hosts=(name,))


CROSS_SITE = [
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "https://localhost:8443"},
    {"origin": "null"},
    {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_pages_of_other_sites_are_refused(client, headers):
    for path in (PHOTO.format(public_id(client.app, RED)), PHOTO.format(uuid4()), "/v1/status"):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 403  # the same for photos that exist and that do not
    assert client.post("/v1/search", json={"text": "red"}, headers=headers).status_code == 403
    form = {"photo": ("a.png", b"x")}
    assert client.post("/v1/search/photo", files=form, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin", "origin": HERE},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:80"},
    ],
)
def test_the_page_of_the_service_and_programs_are_served(client, headers):
    assert client.get("/v1/status", headers=headers).status_code == 200
    assert client.post("/v1/search", json={"text": "red"}, headers=headers).status_code == 200


def test_other_sites_may_link_to_the_page_only(client):
    link, frame = CROSS_SITE[3], CROSS_SITE[2]
    assert client.get("/?q=dogs", headers=link).status_code == 200
    assert client.get("/", headers=frame).status_code == 403
    assert client.get("/openapi.json", headers=link).status_code == 403


def test_a_page_that_is_allowed(serve):
    client = serve(cors=("https://album.example",))
    headers = {"origin": "https://album.example", "sec-fetch-site": "cross-site"}
    answer = client.post("/v1/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == headers["origin"]
    headers["origin"] = "https://album.example.evil.example"
    answer = client.post("/v1/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_nothing_can_be_embedded_or_run(client):
    key = public_id(client.app, RED)
    for path in (PHOTO.format(key), f"/v1/items/{key}/thumbnail", "/v1/status", "/none"):
        headers = client.get(path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} <= set(policy)
    assert client.get("/").headers["cross-origin-resource-policy"] == "same-origin"
    assert "sandbox" not in client.get("/").headers["content-security-policy"]
