"""The import law, read from the source of every module.

- `search_space` and `trainers` import nothing of ours but themselves; `nas` joins them.
- In `nas` the reading side and the samplers import neither torch nor ray, themselves or through our own modules; only
  `nas.runner_ray` imports ray.
- In `search_space` only `layers` and `network` import torch with the module; descriptions need none.
- Every module says what it is.

The checks are functions of a table of sources, so that a synthetic one shows that each can fail.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_space", "trainers", "nas")
READING = ("errors", "figures", "front", "objectives", "report", "results", "show", "stages", "storage", "units")
SAMPLING = ("bench", "evolution", "sampler", "samplers")  # samplers and their benchmark, which are as light
READING_SIDE = tuple(f"nas.{name}" for name in READING + SAMPLING)
TORCH = ("torch", "torchvision", "timm", "fvcore", "safetensors.torch")
RAY = ("ray",)

Sources = Mapping[str, str]  # module name -> source; a package's is that of its `__init__`, and its name ends in a dot


def read_sources() -> dict[str, str]:
    """The source of every module of ours."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1]) + "." if parts[-1] == "__init__" else ".".join(parts)
        found[name] = path.read_text(encoding="utf-8")
    return found


def within(name: str, *roots: str) -> bool:
    """True if module `name` is one of `roots` or lies below one."""
    return any(name.rstrip(".") == root or name.startswith(f"{root}.") for root in roots)


def statements(body: Iterable[ast.stmt], lazy: bool) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported; with `lazy`, those in functions and for type checkers too."""
    for node in body:
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
            continue
        for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for field in ("body", "orelse", "finalbody"):
            if not (for_types and field == "body" and not lazy):
                yield from statements(getattr(node, field, []), lazy)
        for part in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
            yield from statements(part.body, lazy)


def imports(module: str, sources: Sources, lazy: bool = False) -> set[str]:
    """Dotted names that `module` imports: of `from a import b` both `a` and `a.b`."""
    package = module.rstrip(".") if module.endswith(".") else module.rpartition(".")[0]
    found: set[str] = set()
    for node in statements(ast.parse(sources[module]).body, lazy):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif "iter_modules(" in ast.unparse(node):  # a registry imports all modules beside it
            found |= {name for name in sources if name.rpartition(".")[0] == package and name != module}
    return found


def loaded(module: str, sources: Sources, read: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """All that importing `module` imports, with the chain of our modules that leads there; `read` remembers what was read."""
    chains: dict[str, tuple[str, ...]] = {}
    todo: list[tuple[str, tuple[str, ...]]] = [(module, (module,))]
    while todo:
        name, chain = todo.pop()
        if name not in read:
            read[name] = imports(name, sources)
        for imported in read[name]:
            parts = imported.split(".")
            for length in range(1, len(parts) + 1):
                found = ".".join(parts[:length])
                if found in chains:
                    continue
                chains[found] = chain
                ours = next((known for known in (found, f"{found}.") if known in sources), None)
                if ours is not None:
                    todo.append((ours, (*chain, ours)))
    return chains


def crossings(package: str, sources: Sources, forbidden: tuple[str, ...]) -> list[str]:
    """Imports, wherever they stand, by which modules within `package` reach a `forbidden` one."""
    return sorted(
        f"{module} imports {name}"
        for module in sources
        if within(module, package)
        for name in imports(module, sources, lazy=True)
        if within(name, *forbidden)
    )


def heavy(modules: Iterable[str], sources: Sources, forbidden: tuple[str, ...]) -> list[str]:
    """Chains by which importing one of `modules` imports a `forbidden` one."""
    read: dict[str, set[str]] = {}
    return sorted(
        " -> ".join((*chain, name))
        for module in modules
        for name, chain in loaded(module, sources, read).items()
        if within(name, *forbidden)
    )


def undocumented(sources: Sources) -> list[str]:
    """Modules that do not say what they are."""
    return [module for module, text in sources.items() if not ast.get_docstring(ast.parse(text))]


SOURCES = read_sources()


def described(sources: Sources) -> list[str]:
    """The modules of `search_space` that describe, rather than compute."""
    return [
        module
        for module in sources
        if within(module, "search_space") and not within(module, "search_space.layers", "search_space.network")
    ]


def test_the_law_is_asked_of_all_modules() -> None:
    assert {"search_space.", "search_space.mixers.conv", "trainers.proxy", "nas.runner_ray", "nas.figures."} <= set(
        SOURCES
    )
    for side in READING_SIDE:
        assert any(within(module, side) for module in SOURCES), f"{side} is no module; name what took its place"


def test_search_space_and_trainers_import_nothing_of_ours_but_themselves() -> None:
    assert crossings("search_space", SOURCES, ("trainers", "nas")) == []
    assert crossings("trainers", SOURCES, ("search_space", "nas")) == []


def test_the_reading_side_imports_neither_torch_nor_ray() -> None:
    reading = [module for module in SOURCES if within(module, *READING_SIDE)]
    assert heavy(reading, SOURCES, TORCH + RAY) == []
    assert [line for side in READING_SIDE for line in crossings(side, SOURCES, TORCH + RAY)] == []


def test_only_the_runner_imports_ray() -> None:
    lines = [line for package in PACKAGES for line in crossings(package, SOURCES, RAY)]
    assert {line.split()[0] for line in lines} == {"nas.runner_ray"}


def test_descriptions_import_no_torch() -> None:
    assert heavy(described(SOURCES), SOURCES, TORCH) == []


def test_every_module_says_what_it_is() -> None:
    assert undocumented(SOURCES) == []


def test_what_the_source_promises_holds_in_a_running_interpreter() -> None:
    light = [module.rstrip(".") for module in SOURCES if within(module, *READING_SIDE) or module in described(SOURCES)]
    code = f"import importlib, sys\nfor name in {light}: importlib.import_module(name)\n"
    code += "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'torchvision', 'timm', 'ray'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


SYNTHETIC = {
    "search_space.": '"""Doc."""\nfrom search_space import costs',
    "search_space.costs": '"""Doc."""\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch',
    "search_space.network": '"""Doc."""\nimport torch.nn as nn',
    "search_space.lazy": '"""Doc."""\ndef f():\n    import torch\n    from nas import front',
    "search_space.eager": '"""Doc."""\nclass A:\n    try:\n        from . import network\n    except ImportError:\n        pass',
    "trainers.": "import numpy",
    "trainers.proxy": '"""Doc."""\nif True:\n    pass\nelse:\n    from search_space.costs import cost',
    "nas.": '"""Doc."""',
    "nas.front": '"""Doc."""\nfrom nas.objectives import get',
    "nas.objectives.": '"""Doc."""\nimport pkgutil\nfor m in pkgutil.iter_modules(__path__):\n    load(m)',
    "nas.objectives.speed": '"""Doc."""\nimport ray.tune',
    "nas.results": '"""Doc."""\nfrom nas import evaluate',
    "nas.evaluate": '"""Doc."""\nfrom search_space import network',
    "nas.show": '"""Doc."""\nimport rich\nfrom nas import units',
}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (crossings("search_space", SYNTHETIC, ("trainers", "nas")), ["search_space.lazy imports nas"]),
        (crossings("trainers", SYNTHETIC, ("search_space",)), ["trainers.proxy imports search_space.costs"]),
        (crossings("nas", SYNTHETIC, RAY), ["nas.objectives.speed imports ray.tune"]),
        (heavy(["nas.show"], SYNTHETIC, TORCH + RAY), []),
        (heavy(["search_space.costs", "search_space.lazy"], SYNTHETIC, TORCH), []),
        (heavy(["search_space.eager"], SYNTHETIC, TORCH), ["search_space.eager -> search_space.network -> torch"]),
        (heavy(["nas.results"], SYNTHETIC, TORCH), ["nas.results -> nas.evaluate -> search_space.network -> torch"]),
        (heavy(["nas.front"], SYNTHETIC, RAY), ["nas.front -> nas.objectives. -> nas.objectives.speed -> ray"]),
        (undocumented(SYNTHETIC), ["trainers."]),
    ],
)
def test_each_check_can_fail(found: list[str], expected: list[str]) -> None:
    shortest = [line for line in found if not any(line.startswith(f"{other}.") for other in found)]
    assert [line for line in shortest if line in expected] == expected
    assert bool(found) == bool(expected)
