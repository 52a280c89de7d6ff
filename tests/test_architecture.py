"""No circles of imports, modules and the packages above them alike.

Who may import whom is a matter of import-linter (`make lint`). It compares siblings; a module that
imports the package it lies in closes a circle as well, and this is where that shows.
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
