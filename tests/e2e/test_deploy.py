"""The files of deploy/: manifests that Kubernetes accepts, and jobs that index their parts."""

import json
import os
import re
import shlex
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hgan.cli import VERBS
from hgan.cli.serve import SHUTDOWN
from hgan.index.store.server import API_KEY, ServerSettings
from hgan.serve.settings import API_KEYS
from tests.fixtures.qdrant_process import running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SBATCH = DEPLOY / "slurm/index.sbatch"
OLDEST = "1.33"
"""Of the versions of Kubernetes whose schema the manifests meet; 1.33 is the first in which retries
of each part (`backoffLimitPerIndex`) are stable."""
MANIFESTS = [
    pytest.param(manifest, id=manifest["kind"])
    for file in sorted(DEPLOY.glob("kubernetes/*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text())
]


def manifest(kind: str) -> dict[str, Any]:
    [found] = [param.values[0] for param in MANIFESTS if param.id == kind]
    return found


def container(kind: str) -> dict[str, Any]:
    [found] = manifest(kind)["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("one", MANIFESTS)
def test_kubernetes_accepts_it(one: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)
    wrong = deepcopy(one)
    wrong["spec"]["replica"] = 2  # no field of any of them
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_there_is_every_kind() -> None:
    assert sorted(str(param.id) for param in MANIFESTS) == [
        "Deployment",
        "Job",
        "PodDisruptionBudget",
        "Service",
    ]


def test_labels_find_the_pods() -> None:
    pods = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == pods
    assert manifest("Service")["spec"]["selector"] == pods
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == pods
    assert manifest("Job")["spec"]["template"]["metadata"]["labels"] != pods
    assert (
        manifest("PodDisruptionBudget")["spec"]["minAvailable"]
        < (manifest("Deployment")["spec"]["replicas"])
    )


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_pods_are_limited_and_cannot_write_photos(kind: str) -> None:
    pod = manifest(kind)["spec"]["template"]["spec"]
    [one] = pod["containers"]
    assert one["resources"]["limits"].keys() == {"cpu", "memory"}
    assert one["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsUser"] == 10001  # that of the Dockerfile
    assert "USER 10001" in (ROOT / "Dockerfile").read_text()
    mounts = {mount["mountPath"]: mount for mount in one["volumeMounts"]}
    assert mounts["/photos"]["readOnly"]
    assert {mount["name"] for mount in mounts.values()} == {
        volume["name"] for volume in pod["volumes"]
    }
    names = {entry["name"] for entry in one["env"]}
    assert API_KEY in names and (kind == "Job" or API_KEYS in names)


def test_the_service_is_ours() -> None:
    one = container("Deployment")
    verb, *words = one["args"]
    chosen = VERBS[verb].parser(verb).parse_args(words)
    assert chosen.host == "0.0.0.0" and chosen.port == one["ports"][0]["containerPort"]
    assert manifest("Service")["metadata"]["name"] in chosen.allow_host
    paths = json.loads((ROOT / "tests/serve/routes/openapi.json").read_text())["paths"]
    assert one["readinessProbe"]["httpGet"]["path"] == "/ready"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert f"GET {one[probe]['httpGet']['path']}" in paths
    ends = manifest("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert ends >= SHUTDOWN + one["lifecycle"]["preStop"]["sleep"]["seconds"]


def settings(kind: str) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(kind)["env"]}


def test_every_part_has_a_pod() -> None:
    job, given = manifest("Job")["spec"], settings("Job")
    assert job["completions"] == job["parallelism"] == int(given["PARTS"])
    assert ServerSettings.parse(given["TO"]).collection == "photos"
    assert given["PHOTOS"] == "/photos"


@pytest.fixture
def hgan(tmp_path: Path) -> dict[str, str]:
    """An environment in which `hgan` is the one that is tested."""
    program = tmp_path / "bin/hgan"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hgan "$@"\n')
    program.chmod(0o755)
    return dict(os.environ) | {"PATH": f"{program.parent}:{os.environ['PATH']}"}


def run(words: list[str], environment: dict[str, str], **more: str) -> tuple[int, str]:
    done = subprocess.run(
        words, env=environment | more, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def sbatch(environment: dict[str, str], cwd: Path, **more: str) -> tuple[int, str]:
    return run(["bash", "-c", f"cd {shlex.quote(str(cwd))} && bash {SBATCH}"], environment, **more)


def test_bash_reads_the_slurm_job() -> None:
    subprocess.run(["bash", "-n", str(SBATCH)], check=True)
    options = re.findall(r"^#SBATCH --([a-z-]+)(?:=|$)", SBATCH.read_text(), re.M)
    assert {"array", "cpus-per-task", "mem", "time", "output"} <= set(options)


def test_a_slurm_job_without_its_settings_does_nothing(
    hgan: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    address = "http://127.0.0.1:9/photos"
    for given, missing in [
        ({"TO": address, "SLURM_ARRAY_TASK_ID": "1"}, "PHOTOS"),
        ({"PHOTOS": str(photos), "SLURM_ARRAY_TASK_ID": "1"}, "TO"),
        ({"PHOTOS": str(photos), "TO": address}, "SLURM_ARRAY_TASK_ID"),
    ]:
        code, said = sbatch(hgan, tmp_path, **given)
        assert code != 0 and f"{missing}: s" in said, said
    given = {"PHOTOS": str(photos), "TO": address, "PARTS": "2", "SLURM_ARRAY_TASK_ID": "3"}
    code, said = sbatch(hgan, tmp_path, **given)
    assert code == 2 and "--part 3/2" in said


@pytest.mark.slow
def test_jobs_of_slurm_and_kubernetes_make_one_index(
    hgan: dict[str, str], tmp_path: Path, photos: Path
) -> None:
    """Two tasks of an array, then two pods: what the first have stored is unchanged for these."""
    with running(tmp_path / "server") as url:
        given = {"PHOTOS": str(photos), "TO": f"{url}/photos", "PARTS": "2"}
        said = [
            sbatch(hgan, tmp_path, **given, SLURM_ARRAY_TASK_ID=task, SLURM_CPUS_PER_TASK="1")
            for task in ("1", "2")
        ]
        assert [code for code, _ in said] == [0, 0], said
        assert sum(int(re.search(r"(\d+) added", text)[1]) for _, text in said) == 12
        one = container("Job")
        for index in ("0", "1"):
            words = [*one["command"], *one["args"]]
            code, text = run(words, hgan, **given, JOB_COMPLETION_INDEX=index)
            assert code == 0 and "0 added" in text, text
