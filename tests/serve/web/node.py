"""Calls functions of the page's modules, which need no browser, with Node.js."""

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js: apt-get install nodejs")


def call(module: str, script: str, *arguments: object) -> Any:
    """What a JavaScript expression returns.

    Args:
        module: the name of a module of the page, whose exports the expression calls as `page`.
        script: the expression; it finds the arguments in `given`.
        arguments: values that JSON can represent.
    """
    path = files("hgan.serve").joinpath("web", module)
    code = (
        f"import * as page from {json.dumps(str(path))};"
        "const given = JSON.parse(await new Promise((done) => {"
        "  let text = ''; process.stdin.on('data', (part) => (text += part));"
        "  process.stdin.on('end', () => done(text)); }));"
        f"console.log(JSON.stringify({script}));"
    )
    assert NODE is not None
    ran = subprocess.run(
        [NODE, "--input-type=module", "--eval", code],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
