"""The reading side starts fast: importing it loads none of the heavy packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "timm", "scipy", "optuna.visualization")


@pytest.mark.parametrize(
    "modules",
    [
        "nas.analysis.notebook, nas.analysis.prediction_quality, nas.analysis.channel_text, nas.analysis.statistics",
        "nas.figures, nas.html, nas.terminal.tables, nas.report",
        "nas.page.detail_chunks",
    ],
)
def test_heavy_packages_are_not_imported(modules: str) -> None:
    code = f"import sys, {modules}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
