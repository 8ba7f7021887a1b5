"""The main numbers of diagnoses as a table: the rows that the terminal and the page share, and the terminal's renderables."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.text import Text

from nas.formatting import MISSING, si
from nas.models.diagnose.registry import Diagnosis
from nas.models.diagnose.run import DiagnosisFindings
from nas.terminal.fitting_table import FittingTable


def summary(findings: DiagnosisFindings) -> RenderableType:
    """What was diagnosed, a column for each model, and why diagnoses do not apply."""
    table = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("", overflow="fold")
    for model in findings.models:
        table.add_column(model.name, justify="right", overflow="fold")
    for row in rows(findings):
        table.add_row(*row)
    parts: list[RenderableType] = [Text(findings.images.description), table]
    parts += [Text(f"- {note}", style="dim") for note in notes(findings)]
    return Group(*parts)


def rows(findings: DiagnosisFindings) -> list[list[str]]:
    """A row for each number, with its heading and the value of each model."""
    models = findings.models
    table = [
        ["accuracy", *(number_text(model.accuracy) for model in models)],
        ["parameters", *(si(model.params) for model in models)],
        ["MACs", *(si(model.macs) for model in models)],
    ]
    columns = [findings.numbers(model.name) for model in models]
    headings = columns[0] if columns else {}
    return table + [[heading, *(number_text(column[heading]) for column in columns)] for heading in headings]


def number_text(value: float | None) -> str:
    """Four decimals for a share, four significant digits for larger numbers."""
    if value is None:
        return MISSING
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.4g}"


def notes(findings: DiagnosisFindings) -> list[str]:
    """A line for each diagnosis and reason why it does not apply to some models."""
    return [
        f"{diagnosis.name}: {line}" for diagnosis in findings.diagnoses for line in reason_lines(findings, diagnosis)
    ]


def reason_lines(findings: DiagnosisFindings, diagnosis: Diagnosis[Any]) -> list[str]:
    """A line for each reason why `diagnosis` does not apply, with the models."""
    reasons = findings.reasons.get(diagnosis.name, {})
    return [
        f"not applicable to {', '.join(model for model in reasons if reasons[model] == reason)}: {reason}"
        for reason in dict.fromkeys(reasons.values())
    ]
