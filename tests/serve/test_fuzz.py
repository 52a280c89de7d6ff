"""Whatever the service's own description allows, and much that it does not, has an answer that is
described there."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from hgan.index.store import Entry
from hgan.serve.app import create_app

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROUTES = 11
RED = Entry("red 0.png", 0, 0, "").id


@pytest.mark.slow
def test_every_answer_is_described(index):
    # An app of its own: schemathesis starts it, and shuts it down.
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(index))
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == ROUTES
    seen = set()
    for operation in operations:
        modes = (
            [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
            if operation.path_parameters or operation.body
            else [GenerationMode.POSITIVE]
        )
        for mode in modes:

            @given(operation.as_strategy(generation_mode=mode), st.booleans())
            @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
            def ask(case, known):
                if known and "key" in (case.path_parameters or {}):
                    case.path_parameters["key"] = RED  # by chance alone, no photo is ever hit
                answer = case.call_and_validate(checks=CHECKS)
                seen.add((case.operation.label, answer.status_code))

            ask()
    assert ("GET /v1/items/{key}/thumbnail", 200) in seen
    assert ("POST /v1/search", 200) in seen
    assert ("POST /v1/search", 422) in seen
