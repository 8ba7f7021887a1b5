"""What an import costs: values are read without torch and other slow packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {"torch", "timm", "torchvision", "sklearn", "ray", "pandas", "scipy"}


@pytest.mark.parametrize(
    "module", ["trainers", "trainers.data.config", "trainers.training.config", "trainers.measuring.effort"]
)
def test_values_import_no_torch_and_nothing_slow(module: str) -> None:
    code = f"import sys, {module}; slow = {SLOW} & set(sys.modules); sys.exit(f'imported {{slow}}' if slow else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
