"""Modules of workers, which processes import by name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def importable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Any]]:
    """Writes and imports a module, given its name and source; processes that start from then on can import it, too."""
    folder = tmp_path_factory.mktemp("importable")

    def write_and_import(name: str, source: str) -> Any:
        (folder / f"{name}.py").write_text(source)
        return importlib.import_module(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))))
        yield write_and_import
    for name in [name for name, module in sys.modules.items() if getattr(module, "__file__", None)]:
        if Path(str(sys.modules[name].__file__)).parent == folder:
            del sys.modules[name]
