"""Values that were predicted and not measured, wherever a study is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from nas.analysis.columns import StudyColumns
from nas.analysis.prediction_quality import predicted_values
from nas.analysis.results import Results
from nas.objectives import OBJECTIVES
from nas.page.detail import StudyContext, trial_detail
from nas.page.fields import fields_of
from nas.report import write
from nas.study.database.storage import read_study
from nas.study.layout import OPERATORS
from nas.study.operator_table import OperatorTable, operator_times, write_tables
from nas.study.outcomes.predicted_values import PREDICTED_VALUES
from nas.terminal.tables import front_table, status_panel, status_record, trial_panel, trial_record
from search_space import Architecture
from search_space.operators import operators

PREDICTED = {"images_per_s": [8000.0, 7000.0, 8900.0]}
INTERVAL = "99.9 %: 7.00 k to 8.90 k images/s"


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    study_writer: Callable[..., Path],
    stored_trial: Any,
    architecture: Callable[[int], dict[str, Any]],
) -> Path:
    """A study of three trials, of which the second, which the first dominates, was not measured."""
    trials = []
    for number, values in enumerate(([0.9, 1e5, 9000.0], [0.8, 2e5, 8000.0], [0.95, 3e5, 3000.0])):
        how: dict[str, Any] = {"images_per_s": values[2], "throughput": {"images_per_s_interval": [1.0, 1e5]}}
        if number == 1:
            how = {PREDICTED_VALUES: PREDICTED}
        described = {"architecture": architecture(number), "id": f"{number:012x}", "macs": values[1], "params": 10.0}
        trials.append(stored_trial(values, None, {**described, **how}))
    folder = study_writer(tmp_path_factory.mktemp("studies") / "partly", trials, name="partly")
    networks = [Architecture.from_dict(architecture(number)) for number in range(3)]
    timed = list({operator for network in networks for operator in operators(network)})
    write_tables({"images_per_s": OperatorTable(operator_times(timed, [1e-4] * len(timed)), 16)}, folder / OPERATORS)
    return folder


def rendered(renderable: RenderableType) -> str:
    """A renderable as text, without the ends of its lines."""
    stream = io.StringIO()
    Console(file=stream, width=120).print(renderable)
    return " ".join(stream.getvalue().split())


def test_the_terminal_says_what_was_predicted(study: Path) -> None:
    results = Results.load(study)
    assert f"8.00 k images/s (predicted; {INTERVAL})" in rendered(trial_panel(results, results.trial(1)))
    assert "predicted" not in rendered(trial_panel(results, results.trial(0)))
    measured = "throughput of 2 of 3 trials; predicted of those far from the front"
    assert f"measured: {measured}" in rendered(front_table(results))
    assert measured in rendered(status_panel(results))


def test_json_says_what_was_predicted(study: Path) -> None:
    results = Results.load(study)
    records = [trial_record(results, results.trial(number)) for number in range(3)]
    assert [record[PREDICTED_VALUES] for record in records] == [None, PREDICTED, None]
    assert [record["images_per_s"] for record in records] == [9000.0, 8000.0, 3000.0]
    assert status_record(results)["predicted_trials"] == {"images_per_s": 1}
    assert [record["trial"] for record in results.front_records()] == [0, 2]
    assert not any(PREDICTED_VALUES in record for record in results.front_records())
    assert json.loads(json.dumps(records, allow_nan=False)) == records


def test_a_front_that_has_lost_its_measured_trial_has_a_mark(
    study: Path, tmp_path: Path, study_writer: Callable[..., Path], stored_trial: Any
) -> None:
    attributes = dict(Results.load(study).records[1].user_attrs)
    results = Results.load(study_writer(tmp_path / "lost", [stored_trial([0.8, 2e5, 8000.0], None, attributes)]))
    assert [record[PREDICTED_VALUES] for record in results.front_records()] == [PREDICTED]
    assert "8.00 k (predicted)" in rendered(front_table(results))


def test_the_prediction_quality_is_that_of_measured_trials(study: Path) -> None:
    values = predicted_values(Results.load(study))["images_per_s"]
    assert values.trials.tolist() == [0, 2]
    assert values.measured.tolist() == [9000.0, 3000.0]


def test_the_page_has_the_interval_and_a_column(study: Path) -> None:
    stored = read_study(study)
    columns = StudyColumns([OBJECTIVES[name] for name in ("accuracy", "macs", "images_per_s")])
    columns.update(stored.get_trials(deepcopy=False))
    ends = [columns.numbers[f"images_per_s_{end}"].first(3)[1] for end in ("low", "high")]
    assert ends == PREDICTED["images_per_s"][1:]
    (field,) = (field for field in fields_of(columns) if field.key == PREDICTED_VALUES)
    assert (field.label, field.codes) == ("predicted, not measured", ("throughput",))
    assert np.flatnonzero(columns.texts[PREDICTED_VALUES].codes.first(3) >= 0).tolist() == [1]
    context = StudyContext.of(study, stored.user_attrs)
    details = [trial_detail(trial, context) for trial in stored.get_trials(deepcopy=False)]
    assert [detail.get("predictions") for detail in details] == [None, [["throughput", INTERVAL]], None]


def test_the_drawer_says_it(study: Path, visit: Callable[..., Any], tmp_path: Path) -> None:
    opened = visit(write(study, tmp_path / "report.html"))
    for number, note in (
        (1, "predicted, not measured; 99.9 %: 7.00 k to 8.90 k images/s"),
        (0, "95 %: 1 to 100 k images/s"),
    ):
        opened.page.evaluate(f"location.hash = '#/study/front?trial={number}'")
        opened.wait_for(f"document.querySelector('#trial-title')?.textContent === 'Trial {number}'")
        opened.wait_for("document.querySelector('#drawer').ariaBusy === 'false'")
        assert note in opened.page.locator("#drawer .objectives small").all_text_contents()
    assert opened.errors == []
