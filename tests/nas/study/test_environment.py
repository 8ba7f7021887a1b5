"""The versions and the machine of a search: stored once, and again when they change."""

from __future__ import annotations

import shutil
import socket
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import optuna
import pytest

from nas.analysis.results import Results
from nas.analysis.study_text import environment_lines
from nas.study import environment
from nas.study.database.transactions import FileTransactions, merge_attribute
from nas.study.environment import ATTRIBUTE, describe_environment, environment_of, environment_text, with_current
from nas.study.layout import DATABASE
from nas.study.stored import StoredStudy
from nas.terminal.tables import status_record

FROZEN = Path(__file__).parents[2] / "fixtures" / "v0_1"


def test_the_description_is_that_of_this_process() -> None:
    found = describe_environment()
    assert {name: found[name] for name in ("mixfront", "torch", "optuna", "ray", "timm")} == {
        name: metadata.version(name) for name in ("mixfront", "torch", "optuna", "ray", "timm")
    }
    assert all(isinstance(value, str) and value for value in found.values())
    assert found.keys() >= {"since", "python", "host", "processor", "platform", "cpus"}


def test_only_a_change_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    first = with_current(None)
    assert with_current(first) == first
    monkeypatch.setattr(environment, "PACKAGES", ("optuna",))
    second = with_current(first)
    assert second[0] == first[0]
    assert len(second) == 2
    assert len(with_current("damaged")) == 1


def test_drivers_of_several_hosts_add_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    first = with_current(None)
    monkeypatch.setattr(socket, "gethostname", lambda: "node2")
    both = with_current(first)
    assert [item["host"] for item in both] == [first[0]["host"], "node2"]
    monkeypatch.undo()
    assert with_current(both) == both  # that of this host has not changed


ENVIRONMENTS = [
    {"since": f"2020-01-0{day}T00:00:00+00:00", "host": host, "torch": version}
    for day, host, version in ((1, "a", "1"), (2, "b", "2"), (3, "a", "3"), (4, "b", "4"))
]


@pytest.mark.parametrize(
    ("day", "driver", "torch"),
    [(2, "a/7/00000000", "1"), (2, "b/7/00000000", "2"), (3, "b/7/00000000", "2"), (3, "a/7/00000000", "3"),
     (1, "b/7/00000000", "2"), (3, None, "3"), (3, "elsewhere/7/00000000", "3"), (None, "b/7/00000000", "2")],
)  # fmt: skip
def test_a_trial_has_the_environment_of_the_host_of_its_driver(day: int | None, driver: str | None, torch: str) -> None:
    began = None if day is None else datetime(2020, 1, day, 12, tzinfo=UTC)
    assert environment_of(ENVIRONMENTS, began, driver)["torch"] == torch


def test_damaged_environments_are_none() -> None:
    assert environment_of("damaged", datetime.now(), None) == {}
    assert environment_of([3, {"since": "x", "torch": "1"}], datetime.now(), 4) == {"since": "x", "torch": "1"}


def test_the_page_names_each_environment_once(tmp_path: Path) -> None:
    folder = shutil.copytree(FROZEN / "study", tmp_path / "study")
    repeated = [*ENVIRONMENTS, {**ENVIRONMENTS[0], "since": "2020-01-05T00:00:00+00:00"}]
    merge_attribute(FileTransactions(folder / DATABASE), ATTRIBUTE, lambda stored: repeated)
    assert environment_lines(Results.load(folder)) == [
        f"Searched from {item['since']} on with torch {item['torch']} on {item['host']} ()." for item in ENVIRONMENTS
    ]


def test_a_missing_package_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("optuna", "no-package-of-this-name"))
    assert list(environment.versions()) == ["mixfront", "python", "optuna"]


def test_a_study_of_version_0_1_gets_one_when_it_is_continued_and_none_when_it_is_read(tmp_path: Path) -> None:
    folder = shutil.copytree(FROZEN / "study", tmp_path / "study")
    results = Results.load(folder)
    assert status_record(results)["environments"] == []
    assert environment_lines(results) == []
    study = StoredStudy.open(folder)
    assert study.optuna.metric_names is None
    study.name_values()
    for _ in range(2):
        merge_attribute(FileTransactions(folder / DATABASE), ATTRIBUTE, with_current)
    results = Results.load(folder)
    (stored,) = status_record(results)["environments"]
    assert {**stored, "since": ""} == {**describe_environment(), "since": ""}
    assert environment_lines(results) == [f"Searched with {environment_text(stored)}."]
    optuna_study = StoredStudy.read(folder).optuna
    assert optuna_study.metric_names == [objective.name for objective in results.objectives]
    assert isinstance(optuna_study, optuna.Study)


def test_the_text_is_complete_without_some_of_the_keys() -> None:
    assert (
        environment_text({"optuna": "5.0.0", "host": "vm", "cpus": "2", "processor": "X"})
        == "optuna 5.0.0 on vm (X, 2 CPUs)"
    )
