"""Writes `ParetoSampler` as a package of OptunaHub's registry, which stands alone: it needs Optuna and a few libraries only.

    python studies/optunahub/build.py build/optunahub       # build/optunahub/package/samplers/mixfront_pareto

The package holds the modules that `nas.sampler.pareto` imports, with relative imports, beside the files of this folder.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "nas.sampler"
PACKAGE = Path("package/samplers/mixfront_pareto")
IMPORT = re.compile(rf"^from {re.escape(SOURCE)}\.", flags=re.MULTILINE)


def modules_of(start: str) -> set[str]:
    """The names of the modules of the sampler that `start` imports at its top level, directly or not, and its own."""
    names, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name in names:
            continue
        names.add(name)
        tree = ast.parse(path_of(name).read_text(encoding="utf-8"))
        imported = [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
        waiting += [module.removeprefix(f"{SOURCE}.") for module in imported if module.startswith(f"{SOURCE}.")]
    return names


def path_of(name: str) -> Path:
    """The file of a module of the sampler."""
    return ROOT / SOURCE.replace(".", "/") / f"{name}.py"


def build(output: Path) -> Path:
    """Write the package below `output`; returns its folder.

    Raises:
        FileExistsError: it exists.
    """
    folder = output / PACKAGE
    folder.mkdir(parents=True)
    for name in sorted(modules_of("pareto")):
        text = path_of(name).read_text(encoding="utf-8")
        (folder / f"{name}.py").write_text(IMPORT.sub("from .", text), encoding="utf-8")
    for file in ("README.md", "example.py", "requirements.txt"):
        shutil.copy(Path(__file__).with_name(file), folder)
    shutil.copy(ROOT / "LICENSE", folder)
    text = 'from .pareto import ParetoSampler\n\n__all__ = ["ParetoSampler"]\n'
    (folder / "__init__.py").write_text(text, encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    print(build(parser.parse_args().output))


if __name__ == "__main__":
    main()
