"""No circles of imports between modules or packages.

import-linter (`make lint`) checks who may import whom, but it compares siblings only. A module that
imports its own package also makes a circle, and this test finds it.
"""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

import hgan


def test_no_circle_of_imports():
    graph = grimp.build_graph(hgan.__name__)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert imports["hgan.search.searcher"]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
