"""`studies/README.md` lists every key of a study with its default, and everything that a stage is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from nas.study.config import StudyConfig
from search_space.channel_mixers import CHANNEL_MIXERS
from search_space.mixers import MIXERS
from search_space.registry import Spec
from search_space.residual_forms import RESIDUAL_FORMS

ROOT = Path(__file__).parents[3]
KEY = re.compile(r"`([a-z_.]+)`")


def rows() -> dict[str, list[str]]:
    """The cells of each row of a table, by each name in code font of its first cell; `.key` continues the group before it."""
    table: dict[str, list[str]] = {}
    for line in (ROOT / "studies" / "README.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        group = ""
        for key in KEY.findall(cells[0]):
            group = key.rpartition(".")[0] if not key.startswith(".") else group
            table[f"{group}{key}" if key.startswith(".") else key] = cells
    return table


def fields(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, Any]]:
    """The path and the default of each key."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from fields(type(default), f"{place}{name}.")
        elif name != "space":
            yield f"{place}{name}", default


@pytest.mark.parametrize(("key", "default"), list(fields(StudyConfig)), ids=lambda value: str(value)[:40])
def test_the_reference_has_every_key_with_its_default(key: str, default: object) -> None:
    table = rows()
    row = table.get(key) or next((cells for name, cells in table.items() if name.startswith(f"{key}.")), None)
    assert row, f"studies/README.md does not list {key}"
    if isinstance(default, bool):
        assert f"{default}".lower() in row[2]
    elif isinstance(default, str) and key != "name":  # which is that of the file
        assert f"`{default}`" in row[2]
    elif isinstance(default, int | float):
        numbers = [float(text) for text in re.findall(r"\d[\d.e-]*", row[2])]
        assert float(default) in numbers


@pytest.mark.parametrize("spec", [*MIXERS.values(), *CHANNEL_MIXERS.values()], ids=lambda spec: spec.__name__)
def test_the_reference_has_every_mixer_with_its_options(spec: type[Spec]) -> None:
    sections = re.split(r"^### ", (ROOT / "studies" / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    title = "Token mixers" if spec in MIXERS.values() else "Channel mixers"
    (row,) = [
        line
        for section in sections
        if section.startswith(title)
        for line in section.splitlines()
        if line.startswith(f"| `{spec.name}` |")
    ]
    assert [option for option in spec.model_fields if f"`{option}: " not in row] == []


@pytest.mark.parametrize("name", list(RESIDUAL_FORMS))
def test_the_reference_has_every_residual_form(name: str) -> None:
    assert name in rows()
