"""compose.yaml and the Dockerfile: valid, as far as can be checked without Docker."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from hgan.cli import VERBS
from hgan.index.store.server import API_KEY, ServerSettings
from hgan.runtime.formats import KINDS, VIDEO
from hgan.serve.settings import API_KEYS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
NODES = ("qdrant-1", "qdrant-2", "qdrant-3")


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled_in() -> str:
    """As Compose reads it with the example's settings and a key."""
    values = example() | {API_KEY: "secret"}
    assert not re.search(r"(?<!\$)\$(?!\{)", TEXT)
    return VARIABLE.sub(lambda found: values.get(found[1]) or (found[3] or ""), TEXT)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(filled_in())["services"]


def test_it_is_a_compose_file() -> None:
    merged = yaml.safe_dump(yaml.safe_load(filled_in()))
    parsed = PyCompose.from_yaml(merged)
    parsed.validate()
    assert sorted(parsed.service_names()) == ["index", *NODES, "serve"]
    with pytest.raises(ValueError, match="restrat"):
        PyCompose.from_yaml(merged.replace("restart:", "restrat:", 1))


def test_compose_itself_takes_it(tmp_path: Path) -> None:
    plugin = (
        subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        if shutil.which("docker")
        else False
    )
    if plugin:
        command, text = ["docker", "compose"], TEXT
    elif shutil.which("docker-compose"):
        # The last release of the first Compose did not know the name at the top.
        command, text = ["docker-compose"], re.sub(r"^name: .*\n", "", TEXT, flags=re.M)
    else:
        pytest.skip("Docker Compose is not installed")
    (tmp_path / "compose.yaml").write_text(text)
    settings = (ROOT / ".env.example").read_text()
    (tmp_path / ".env").write_text(settings)
    config = [*command, "config"]
    refused = subprocess.run(config, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0 and "set it in .env" in refused.stderr  # no key, no cluster
    (tmp_path / ".env").write_text(settings.replace(f"{API_KEY}=", f"{API_KEY}=secret"))
    done = subprocess.run(config, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    given = yaml.safe_load(done.stdout)["services"]
    assert given["serve"]["environment"][API_KEY] == "secret"
    assert given["qdrant-2"]["environment"]["QDRANT__SERVICE__API_KEY"] == "secret"


def test_settings_are_those_of_the_example() -> None:
    used = {found[0] for found in VARIABLE.findall(TEXT)}
    assert used == set(example())
    assert {API_KEY, API_KEYS} <= used
    defaults = {
        name: value for name, kind, value in VARIABLE.findall(TEXT) if kind == "-" and value
    }
    assert all(example()[name] == value for name, value in defaults.items())


def test_nodes_find_each_other_and_nobody_else_does(services: dict[str, Any]) -> None:
    networks = yaml.safe_load(TEXT)["networks"]
    for name in NODES:
        node = services[name]
        assert "ports" not in node
        assert all(networks[network]["internal"] for network in node["networks"])
        assert node["environment"]["QDRANT__SERVICE__API_KEY"] == "secret"
        assert node["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"
        assert node["healthcheck"]["test"][0] == "CMD"
        options = dict(zip(node["command"][1::2], node["command"][2::2], strict=True))
        assert options["--uri"] == f"http://{name}:6335"
        assert options.get("--bootstrap") == (
            None if name == NODES[0] else f"http://{NODES[0]}:6335"
        )
        assert node["volumes"] == [f"{name}:/qdrant/storage"]
        assert name in yaml.safe_load(TEXT)["volumes"]
    assert services["serve"]["ports"] == ["127.0.0.1:8000:8000"]


def test_health_check_of_a_node_is_a_command_that_bash_reads(services: dict[str, Any]) -> None:
    _, *command = services[NODES[0]]["healthcheck"]["test"]
    assert subprocess.run([*command[:1], "-n", *command[1:]]).returncode == 0


def test_commands_are_ours_and_addresses_are_right(services: dict[str, Any]) -> None:
    aliases = {
        alias for name in NODES for alias in services[name]["networks"]["cluster"]["aliases"]
    }
    seen = []
    for name in ("index", "serve"):
        verb, *words = services[name]["command"]
        chosen = VERBS[verb].parser(verb).parse_args(words)
        assert "cluster" in services[name]["networks"]
        [mount] = services[name]["volumes"]
        assert mount["read_only"] and mount["target"] == "/photos"
        seen += [ServerSettings.parse(word) for word in words if word.startswith("http")]
        if verb == "index":
            assert chosen.folders == [mount["target"]]
    index, serve = seen
    assert (index.shard_number, index.replication_factor) == (3, 2)
    assert (index.url, index.collection) == (serve.url, serve.collection)
    assert index.url == f"http://{aliases.pop()}:6333" and not aliases


def test_dockerfile_copies_what_is_there_and_runs_what_we_have() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "COPY" and "--from" not in rest:
            for name in rest.split()[:-1]:
                assert (ROOT / name).exists() and f"!{name}" in ignored
        if word == "RUN" and "pip install" in rest:
            extras = re.search(r"'\.\[(.*)\]'", rest)
            assert extras is not None
            defined = (ROOT / "pyproject.toml").read_text()
            installed = set(extras[1].split(","))
            assert all(f"\n{extra} = [" in defined for extra in installed)
            # Everything that can be read is read in the image, too.
            assert installed >= {kind.extra for kind in (*KINDS, VIDEO) if kind.extra}
    assert "USER 10001" in lines
    [command] = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    verb, *words = yaml.safe_load(command)
    VERBS[verb].parser(verb).parse_args(words)
    [check] = [line for line in lines if line.startswith("HEALTHCHECK")]
    _, _, code = yaml.safe_load(check.split("CMD ", 1)[1])
    compile(code, "HEALTHCHECK", "exec")


def test_documented_settings_are_all_of_them() -> None:
    page = (ROOT / "docs/scaling.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.M))
    assert rows == set(ServerSettings.__dataclass_fields__) - {"url", "collection", "api_key"}
    for line in page.splitlines():
        for address in re.findall(r"http://[a-z]+:6333/[^\s\"`]+", line):
            ServerSettings.parse(address)
    assert shlex.split("cp .env.example .env")[1] in page
