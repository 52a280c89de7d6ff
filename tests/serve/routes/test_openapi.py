"""The contract of the HTTP API: paths, parameters, answers and property names stay as they are.

They are in `openapi.json`. Clients depend on all of these names: when something is added to the
API, add it to the file; change nothing else in it without a new version of the API.
"""

import json
from pathlib import Path
from typing import Any

CONTRACT = Path(__file__).with_name("openapi.json")


def contract_of(document: dict[str, Any]) -> dict[str, Any]:
    """What clients depend on: no descriptions and no titles."""
    return {
        "paths": {
            f"{method.upper()} {path}": {
                "parameters": [
                    f"{one['in']} {one['name']}{' (required)' if one['required'] else ''}"
                    for one in operation.get("parameters", [])
                ],
                "body": _content(operation.get("requestBody", {})),
                "answers": {
                    status: _content(answer) for status, answer in operation["responses"].items()
                },
            }
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        },
        "schemas": {
            name: {
                "properties": {
                    key: _kind(value) for key, value in schema.get("properties", {}).items()
                },
                "required": schema.get("required", []),
            }
            for name, schema in document["components"]["schemas"].items()
        },
        "security": sorted(document["components"]["securitySchemes"]),
    }


def _content(body: dict[str, Any]) -> dict[str, str]:
    return {
        media: _kind(content.get("schema", {}))
        for media, content in body.get("content", {}).items()
    }


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"[{_kind(schema['items'])}]"
    return f"{kind} {schema['format']}" if "format" in schema else kind


def test_the_api_is_what_clients_know(client):
    found = contract_of(client.get("/openapi.json").json())
    assert found == json.loads(CONTRACT.read_text())
