"""What shells complete, asked of the shells themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hgan.cli import VERBS, main
from hgan.cli.completion import SHELLS

ASK = """
source "$1"
set -- $(complete -p hgan) -- "${@:2}"  # complete -o filenames -F FUNCTION hgan -- WORDS
while [ "$1" != -F ]; do shift; done
ask=$2; shift 4
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
"$ask" hgan "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scripts")
    made = {shell: folder / shell for shell in SHELLS}
    with pytest.MonkeyPatch.context() as patch:
        for shell, file in made.items():
            with file.open("w") as out:
                patch.setattr("sys.stdout", out)
                assert main(["completion", shell]) == 0
    return made


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    return path


def completed(scripts: dict[str, Path], *words: str, where: Path | None = None) -> set[str]:
    """What bash completes the last word to."""
    command = [needs("bash"), "--norc", "-c", ASK, "ask", scripts["bash"], "hgan", *words]
    result = subprocess.run(command, capture_output=True, text=True, cwd=where)
    assert result.stderr == ""
    return set(result.stdout.split())


def test_bash_completes_verbs(scripts: dict[str, Path]) -> None:
    assert completed(scripts, "se") == {"search", "serve"}
    assert completed(scripts, "") >= {name.split()[0] for name in VERBS}
    assert completed(scripts, "data", "") >= {"check", "convert"}


def test_bash_completes_options_and_values(scripts: dict[str, Path]) -> None:
    assert completed(scripts, "search", "a dog", "--s") == {"--share", "--sheet"}
    assert completed(scripts, "data", "convert", "--i") == {"--ids"}
    assert completed(scripts, "train", "--optim.ep") == {"--optim.epochs"}
    assert completed(scripts, "train", "--optim.precision", "") == {"bf16", "no"}
    assert completed(scripts, "index", "--quantize", "") == {"int8", "none"}
    assert completed(scripts, "completion", "") >= set(SHELLS)


def test_bash_completes_paths_where_they_are_asked_for(
    scripts: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "plan.yaml").touch()
    for words in (["index"], ["search", "--image"], ["train", "--config"], ["evaluate"]):
        assert completed(scripts, *words, "p", where=tmp_path) == {"photos", "plan.yaml"}, words
    assert completed(scripts, "search", "-k", "p", where=tmp_path) == set()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_script(shell: str, scripts: dict[str, Path]) -> None:
    result = subprocess.run([needs(shell), "-n", scripts[shell]], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_scripts_have_every_verb(scripts: dict[str, Path]) -> None:
    for shell, file in scripts.items():
        script = file.read_text()
        for name in VERBS:
            assert all(word in script for word in name.split()), (shell, name)
        assert "--min-score" in script or "-l min-score" in script
        assert "%(default)s" not in script
