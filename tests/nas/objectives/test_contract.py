"""An objective is one registration: a synthetic one of each source runs from configuration to report."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas import objectives
from nas.analysis.results import Results
from nas.driver.run import run_search
from nas.errors import ConfigError, UnknownNameError
from nas.execution.resources import Allocation
from nas.execution.simulator import Simulator
from nas.objectives import Measurement, Objective
from nas.report import render
from nas.study.config import StudyConfig
from nas.study.content import StudySnapshot
from nas.study.trials import is_trained, outcome_name
from nas.terminal import tables
from search_space import Architecture

BLOCKS = Objective(
    name="blocks",
    label="number of blocks",
    unit="blocks",
    direction="minimize",
    log=False,
    source="cost",
    value=lambda architecture: sum(stage.depth for stage in architecture.stages),
)
REACH = Objective(
    name="reach",
    label="widest stage",
    unit="channels",
    direction="maximize",
    log=False,
    source="cost",
    value=lambda architecture: max(stage.width for stage in architecture.stages),
)
ENERGY = Objective(
    name="energy_j",
    label="energy",
    unit="J",
    direction="minimize",
    log=True,
    source="measured",
    value=lambda network: Measurement(
        1e-6 * sum(p.numel() for p in network.network.parameters()), {"images": network.batch_size}
    ),
    details_name="energy",
    from_seconds=lambda seconds, images: 10 * seconds / images,
)
LOSS = Objective(
    name="val_loss",
    label="validation loss",
    unit="",
    direction="minimize",
    log=False,
    source="trained",
    value=lambda trained: trained.history[-1].val_loss,
)
SYNTHETIC = (BLOCKS, REACH, ENERGY, LOSS)

STUDY = """\
trials: 6
data: {source: digits, limit: 200}
space:
  stem: {patch: 4}
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, depth: [1, 2, 3, 4], width: [8, 16]}]
train: {epochs: 2}
throughput: {min_time_s: 0.001, max_time_s: 0.01, operators_s: 1}
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for objective in SYNTHETIC:
        objectives.register(objective)
    yield
    for objective in SYNTHETIC:
        del objectives.OBJECTIVES[objective.name]


def config(folder: Path, *overrides: str) -> StudyConfig:
    file = folder / "study.yaml"
    file.write_text(STUDY)
    return StudyConfig.from_file(file, *overrides)


def search(folder: Path, *overrides: str) -> Any:
    """The results of a search whose tasks run in this process, one after the other."""
    opened = Simulator()
    opened.allocation = Allocation(1, 1, 0.0)

    class Here:
        def __enter__(self) -> Simulator:
            return opened

        def __exit__(self, *error: object) -> None:
            return None

    ended = run_search(config(folder, *overrides), folder / "study", open_with=Here)
    return ended.study


def test_a_name_is_registered_once_and_needs_a_value() -> None:
    with pytest.raises(ValueError, match="'energy_j' is already registered"):
        objectives.register(ENERGY)
    with pytest.raises(ValueError, match="'none': a registered objective must have a `value`"):
        objectives.register(Objective("none", "", "", "minimize", False, "cost"))
    with pytest.raises(UnknownNameError, match=r"no such objective.*found 'energy'; did you mean energy_j\?"):
        objectives.get("energy")


def test_all_lists_are_derived() -> None:
    assert set(objectives.names("cost")) == {"macs", "params", "activation_bytes", "blocks", "reach"}
    assert set(objectives.names("measured")) == {"images_per_s", "latency_ms", "peak_memory_bytes", "energy_j"}
    robustness = {"robustness", "low_frequency_robustness", "high_frequency_robustness"}
    assert set(objectives.names("trained")) == {"accuracy", "balanced_accuracy", "macro_f1", "val_loss", *robustness}
    assert objectives.names() == (
        *objectives.names("trained"), *objectives.names("cost"), *objectives.names("measured")
    )  # fmt: skip


@pytest.mark.parametrize("sampler", ["pareto", "random"])
def test_synthetic_objectives_of_every_source_run_from_proposal_to_report(
    tmp_path: Path, sampler: str, report_document: Callable[[str], dict[str, Any]]
) -> None:
    names = ["accuracy", *(objective.name for objective in SYNTHETIC)]
    study = search(tmp_path, f"objectives=[{', '.join(names)}]", f"sampler.name={sampler}")
    trained = [trial for trial in study.trials if is_trained(trial)]
    assert len(trained) == 6
    for trial in trained:
        assert outcome_name(trial) == "completed", trial.user_attrs.get("failure")
        architecture = Architecture.from_dict(trial.user_attrs["architecture"])
        values = dict(zip(names, trial.values, strict=True))
        assert values["blocks"] == trial.user_attrs["blocks"] == architecture.stages[0].depth
        assert values["reach"] == architecture.stages[0].width
        assert values["energy_j"] == trial.user_attrs["energy_j"] == pytest.approx(1e-6 * trial.user_attrs["params"])
        assert trial.user_attrs["energy"] == {"images": 16}
        assert values["val_loss"] == trial.user_attrs["val_loss"] == trial.user_attrs["curve"][-1]["val_loss"]
    results = Results.of(study)
    assert {*names} <= set(results.front_records()[0])
    assert "energy_j" in results.to_csv().splitlines()[0]
    assert re.search("blocks", str(tables.front_table(results).columns[2].header))
    document = report_document(render(StudySnapshot.of(results.folder)))
    labels = {field["label"] for field in document["fields"]}
    assert labels >= {objective.label for objective in SYNTHETIC}


def test_limits_on_synthetic_costs_are_kept_in_either_direction(tmp_path: Path) -> None:
    study = search(tmp_path, "objectives=[accuracy, macs]", "limits={blocks: 2, reach: 16}", "sampler.name=random")
    trained = [trial for trial in study.trials if is_trained(trial)]
    assert len(trained) == 6
    for trial in trained:
        assert trial.user_attrs["blocks"] <= 2
        assert trial.user_attrs["reach"] >= 16
        assert trial.constraints == {
            "blocks": trial.user_attrs["blocks"] - 2,
            "reach": 16 - trial.user_attrs["reach"],
        }
    refused = [trial for trial in study.trials if outcome_name(trial) == "refused"]
    assert refused
    assert all(re.match(r"limit (blocks: \d > 2|reach: 8 < 16)$", trial.user_attrs["refused"]) for trial in refused)


def test_a_limit_that_nothing_satisfies_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"limits\.reach: no architecture of the space is that cheap.*has 16, found 20"
    ):
        search(tmp_path, "limits={reach: 20}")


def test_limits_on_synthetic_measurements_refuse_before_training(tmp_path: Path) -> None:
    study = search(tmp_path, "objectives=[accuracy, macs]", "limits={energy_j: 2.5e-3}", "sampler.name=random")
    outcomes = {trial.number: outcome_name(trial) for trial in study.trials}
    for trial in study.trials:
        if outcomes[trial.number] == "refused":
            assert trial.user_attrs["energy_j"] > 2.5e-3
            assert trial.user_attrs["refused"].startswith("limit energy_j: ")
            assert "curve" not in trial.user_attrs
        elif is_trained(trial):
            assert trial.user_attrs["energy_j"] <= 2.5e-3
    assert {"refused", "completed"} <= set(outcomes.values())


def test_values_of_trained_objectives_are_carried_over_rungs(tmp_path: Path) -> None:
    words = ("objectives=[accuracy, val_loss, macs]", "scheduler.name=halving", "train.epochs=4", "trials=6")
    study = search(tmp_path, *words)
    trained = [trial for trial in study.trials if is_trained(trial)]
    assert {outcome_name(trial) for trial in trained} == {"completed", "stopped"}
    for trial in trained:
        assert trial.user_attrs["val_loss"] == trial.user_attrs["curve"][-1]["val_loss"]


@pytest.mark.parametrize("halving", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("balanced_accuracy", "macs"),
        ("macs", "macro_f1"),
        ("balanced_accuracy", "accuracy", "macs"),
        ("val_loss", "macs"),
    ],
)
def test_a_study_may_train_for_another_objective_than_accuracy(
    tmp_path: Path, names: tuple[str, ...], halving: bool, report_document: Callable[[str], dict[str, Any]]
) -> None:
    words = [f"objectives=[{', '.join(names)}]"]
    words += ["scheduler.name=halving", "train.epochs=4"] if halving else []
    study = search(tmp_path, *words)
    trained = [trial for trial in study.trials if is_trained(trial)]
    assert len(trained) == 6
    primary = next(name for name in names if name != "macs")
    for trial in trained:
        assert outcome_name(trial) in ("completed", "stopped"), trial.user_attrs.get("failure")
        assert set(trial.intermediate_values) <= {1}
        if trial.values is not None:
            values = dict(zip(names, trial.values, strict=True))
            assert values[primary] == trial.user_attrs[primary]
    results = Results.of(study)
    assert results.primary.name == primary
    assert results.best is not None
    choose = min if primary == "val_loss" else max
    assert results.best[primary] == choose(results.complete[primary])
    # Accuracy is shown beside it, from the curve.
    for row in results.complete.to_dict("records"):
        assert row["accuracy"] == row["curve"][-1]["val_accuracy"]
    assert tables.status_record(results)["best_accuracy"] == results.best["accuracy"]
    document = report_document(render(StudySnapshot.of(results.folder)))
    assert results.primary.label in [objective["label"] for objective in document["objectives"]]


def test_the_primary_objective_is_the_first_goal_then_the_first_that_is_trained() -> None:
    def primary(*chosen: str) -> str:
        return chosen[objectives.primary_index([objectives.get(name) for name in chosen])]

    assert primary("macs", "val_loss", "accuracy", "balanced_accuracy") == "accuracy"
    assert primary("macs", "macro_f1", "accuracy") == "macro_f1"
    assert primary("macs", "val_loss") == "val_loss"
    assert primary("macs", "params") == "macs"


def test_an_unregistered_objective_of_a_study_is_read() -> None:
    stored = ENERGY.to_dict() | {"name": "carbon_g", "label": "carbon"}
    read = objectives.from_dict(stored)
    assert (read.label, read.source, read.cheap, read.value) == ("carbon", "measured", False, None)
    with pytest.raises(ValueError, match="'carbon_g' has no `value` function in this version"):
        read.compute(None)
    old = {"name": "macs", "unit": "MACs", "direction": "minimize", "log": True}  # of version 0.1
    assert objectives.from_dict(old) == objectives.get("macs")
