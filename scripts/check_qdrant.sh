#!/usr/bin/env bash
# Run the tests of indexes on a server against a real Qdrant server.
#
#     scripts/check_qdrant.sh http://localhost:6333
#     scripts/check_qdrant.sh http://localhost:6333 -k aliases -x      # options of pytest
#
# Without it, these tests use the local mode of Qdrant's client. The names of all collections start
# with hgan-test- and a random number, and the collections are removed at the end; others are neither
# read nor changed. $HGAN_QDRANT_API_KEY is the server's key, which must be allowed to create
# collections. Needs Qdrant 1.20 or newer (some tests store vectors in 8 bits), and .venv as `make test`
# makes it, or another environment with the development extras, whose interpreter is $PYTHON.
set -euo pipefail

if [[ $# -lt 1 || $1 != http*://* ]]; then
    echo "usage: $0 http://HOST:6333 [OPTIONS OF PYTEST]" >&2
    exit 2
fi
export HGAN_QDRANT_URL=${1%/}
shift
# Tests set the variable that hgan reads, so the key reaches the server by another one.
export HGAN_QDRANT_TEST_KEY=${HGAN_QDRANT_API_KEY:-}
unset HGAN_QDRANT_API_KEY

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venv/bin/python}
"$python" - <<'EOF'
import os
import sys

import httpx

url, key = os.environ["HGAN_QDRANT_URL"], os.environ["HGAN_QDRANT_TEST_KEY"]
headers = {"api-key": key} if key else None
try:
    httpx.get(f"{url}/collections", headers=headers, timeout=10).raise_for_status()
    version = httpx.get(url, headers=headers, timeout=10).json().get("version", "unknown")
except (httpx.HTTPError, ValueError, AttributeError) as error:
    sys.exit(f"{url}: not a Qdrant server that can be used ({error})")
print(f"Qdrant {version} at {url}")
EOF

exec "$python" -m pytest -q \
    tests/index/store \
    tests/index/distributed/test_worker.py \
    tests/index/test_left_out.py \
    tests/index/test_moved_model.py \
    tests/index/test_outage.py \
    tests/index/test_rebuild_collection.py \
    tests/index/test_remote.py \
    tests/index/test_shard.py \
    tests/index/test_texts.py \
    tests/index/test_watcher.py \
    tests/index/test_writer.py \
    tests/serve/test_outage.py \
    "$@"
