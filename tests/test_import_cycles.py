"""No import cycles between modules, also not through imports in functions or under TYPE_CHECKING.

`lint-imports` (see pyproject.toml) checks the layers; this reads the source by itself, module by module, so that two modules of
one package are covered too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_space", "trainers", "nas")


def read_sources() -> dict[str, str]:
    """Module name -> source; a package has that of its `__init__.py`."""
    sources = {}
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return sources


def imported_modules(source: str, modules: Mapping[str, str]) -> Iterator[str]:
    """The modules of ours that `source` imports anywhere: `from a import b` imports `a.b` if that is a module, else `a`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used in this project"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in modules or node.module in modules:
                    yield name if name in modules else str(node.module)


def find_cycle(sources: Mapping[str, str]) -> list[str]:
    """The modules of an import cycle, in order; empty if there is none."""
    graph = {module: set(imported_modules(source, sources)) - {module} for module, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_there_is_no_cycle() -> None:
    sources = read_sources()
    assert len(sources) > 200
    assert find_cycle(sources) == []


@pytest.mark.parametrize(
    "imports_a",
    [
        "from nas import a",
        "from nas.a import name",
        "import nas.a",
        "def function():\n    from nas.a import name",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nas.a import name",
    ],
)
def test_a_cycle_is_found_wherever_the_import_stands(imports_a: str) -> None:
    sources = {"nas": "", "nas.a": "from nas.b import other", "nas.b": imports_a, "nas.c": "from nas import a, b"}
    assert set(find_cycle(sources)) == {"nas.a", "nas.b"}
    assert find_cycle(sources | {"nas.b": "import torch"}) == []
