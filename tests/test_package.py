"""The wheel: every module, and the files that are read at run time; what lies beside the packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_space", "trainers", "nas")
PARTS = (*PACKAGES, "studies", "pyproject.toml", "README.md", "LICENSE")
DATA = {".html", ".css", ".js", ".yaml", ".typed"}


def test_the_wheel_has_every_module_and_data_file(tmp_path: Path) -> None:
    for part in PARTS:
        source, copy = ROOT / part, tmp_path / part
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    code = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    (tmp_path / "dist").mkdir()
    built = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name == built.stdout.split()[-1]
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.suffix in {".py", *DATA}
    }
    expected |= {f"nas/studies/{file.name}" for file in (ROOT / "studies").glob("*.yaml")}
    assert {
        "nas/studies/digits.yaml",
        "nas/study/starter.yaml",
        "nas/html/page.js",
        "nas/page/page.html",
        "nas/page/script/core/app.js",
        "nas/page/style/page.css",
    } <= expected
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected


def test_no_command_has_left_an_empty_file_beside_the_packages() -> None:
    """A line of a shell with `>` or `touch` that was quoted badly leaves them, and `git add` takes them along."""
    files = (file for file in ROOT.iterdir() if file.is_file() and not file.name.startswith("."))
    assert [file.name for file in files if file.stat().st_size == 0] == []
