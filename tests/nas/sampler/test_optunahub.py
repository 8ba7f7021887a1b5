"""The package for OptunaHub stands alone, and searches as the sampler here does."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

from nas.sampler import ParetoSampler

ROOT = Path(__file__).parents[3]

STUB = '''"""`optunahub.load_local_module`, without the library."""
import importlib.util, sys

def load_local_module(package, registry_root):
    folder = f"{registry_root}{package}"
    spec = importlib.util.spec_from_file_location("hub_package", f"{folder}/__init__.py", submodule_search_locations=[folder])
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_package"] = module
    spec.loader.exec_module(module)
    return module
'''


def run(folder: Path, *arguments: str) -> str:
    """The output of Python in `folder`, where nothing of this repository can be imported."""
    command = [sys.executable, "-W", "error", *arguments]
    environment = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_package_stands_alone(tmp_path: Path) -> None:
    script = ROOT / "studies" / "optunahub" / "build.py"
    folder = tmp_path / run(tmp_path, str(script), "built").strip()
    names = {file.name for file in folder.iterdir()}
    assert {"README.md", "LICENSE", "__init__.py", "example.py", "requirements.txt", "pareto.py"} <= names
    assert "architecture_domain.py" not in names
    front_matter = (folder / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    keys = [line.split(":")[0] for line in front_matter.splitlines()]
    assert keys == ["author", "title", "description", "tags", "optuna_versions", "license"]
    (tmp_path / "built" / "optunahub.py").write_text(STUB, encoding="utf-8")
    (tmp_path / "built" / "nas.py").write_text("raise ImportError('the package needs mixfront')", encoding="utf-8")
    (tmp_path / "built" / "search_space.py").write_text(
        "raise ImportError('the package needs mixfront')", encoding="utf-8"
    )
    front = run(tmp_path / "built", str(folder / "example.py"))
    assert len(front.splitlines()) >= 5


def test_the_signature_of_its_page_is_that_of_the_sampler() -> None:
    page = (ROOT / "studies" / "optunahub" / "README.md").read_text(encoding="utf-8")
    written = re.findall(r"`ParetoSampler\((.+?)\)`", page, re.DOTALL)[0]
    parameters = [
        f"{name}={parameter.default!r}" for name, parameter in inspect.signature(ParetoSampler).parameters.items()
    ]
    assert written.replace(" *,", "").split() == ", ".join(parameters).split()
