"""An installed wheel holds every file that the packages read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("nas", "search_space", "trainers")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_that_is_not_python_is_package_data(package: str) -> None:
    folder = ROOT / package
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    declared = {file for pattern in setuptools["package-data"][package] for file in folder.glob(pattern)}
    present = {file for file in folder.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    studies = set(folder.glob("studies/*.yaml"))  # a link, which `rglob` may not follow
    assert declared == {file for file in present | studies if file.suffix != ".png"}
    assert folder / "py.typed" in declared


def test_every_package_is_found() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == [
        f"{package}*" for package in ("search_space", "trainers", "nas")
    ]
    for package in PACKAGES:
        folders = {file.parent for file in (ROOT / package).rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
