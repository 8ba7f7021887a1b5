"""A search whose trials inherit weights: which parent a trial has, what pauses, what is trained from scratch, what is stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from nas.driver.ask_tell import AskTell
from nas.driver.front_time import FrontTime
from nas.driver.parents import MIN_SHARED_PARAMETERS, Parents
from nas.driver.plan import create_promotion_rule
from nas.driver.proposal import Finished, Proposal
from nas.driver.rungs.ladder import Ladder
from nas.driver.rungs.promotion import FrontPromotion
from nas.driver.start.start_checks import check_inheritance
from nas.errors import ConfigError
from nas.sampler.architecture_domain import ArchitectureDomain
from nas.sampler.pareto import ParetoSampler
from nas.sampler.study_reader import ObjectiveSource, StudyReader
from nas.study.config import StudyConfig
from nas.study.database.storage import open_study
from nas.study.events import TrialRecorded
from nas.study.layout import CHECKPOINT, INHERITED_WEIGHTS, WEIGHTS
from nas.study.outcomes.inheritance import INHERITED, Inheritance, inherited_epochs
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Failed, Paused
from nas.study.trials import is_trained, outcome_name
from search_space import Architecture, SearchSpace, cost

RULE = FrontPromotion((3, 9))


class Search:
    """A stored search; `step` runs one task, with accuracies that rise with parameters and with epochs."""

    def __init__(self, driver: Any, target: int = 20, front_time: FrontTime | None = None) -> None:
        self.driver = driver
        study = open_study(driver.folder)
        study.sampler = ParetoSampler(driver.space, {1: lambda a: cost(a).macs}, budget=9, seed=0)
        self.ask_tell: AskTell = driver.ask_tell(study, target, promotion_rule=RULE, front_time=front_time)
        self.tasks: list[Proposal] = []

    def propose(self) -> Proposal | None:
        proposal = self.ask_tell.propose()
        if isinstance(proposal, Proposal):
            self.tasks.append(proposal)
            return proposal
        assert proposal == Finished()
        return None

    def end(self, proposal: Proposal) -> None:
        epochs, inherited = proposal.until, proposal.inherited
        assert epochs is not None
        accuracy = 1 - 1 / (cost(proposal.architecture).params * epochs) ** 0.2
        curve = [{"epoch": epoch + 1, "val_accuracy": accuracy} for epoch in range(epochs)]
        folder = self.driver.folder / f"{proposal.number:05d}"
        folder.mkdir(exist_ok=True)
        (folder / (WEIGHTS if inherited is None else INHERITED_WEIGHTS)).touch()
        (folder / CHECKPOINT).touch()
        outcome = self.driver.completed(proposal, accuracy, curve=curve)
        if inherited is not None:
            outcome = Paused(**vars(outcome), epoch=epochs, inherited=replace(inherited, tensors=5))
        self.ask_tell.record(proposal.number, outcome)

    def run(self) -> list[Proposal]:
        while (proposal := self.propose()) is not None:
            self.end(proposal)
        return self.tasks


class Budget:
    """A time budget: an inherited training takes 2 s, one from scratch 6 s, on one worker after the other."""

    def __init__(self, seconds: float) -> None:
        self.left_s = seconds
        self.lines: list[str] = []

    def run(self, driver: Any, target: int = 200) -> list[Proposal]:
        """Search until nothing is left to train; the proposals."""
        trials = open_study(driver.folder).get_trials()
        search = Search(driver, target, FrontTime(RULE.rungs, 1, lambda: self.left_s, self.lines.append, trials))
        while (proposal := search.propose()) is not None:
            self.left_s -= 6.0 if proposal.inherited is None else 2.0
            search.end(proposal)
        return search.tasks


@pytest.fixture
def stored(driver: Any) -> Any:
    driver.study(stored=True)
    return driver


def dominated(values: tuple[float, ...], others: list[tuple[float, ...]]) -> bool:
    """Accuracy is maximised, MACs are minimised, images per second are the same for all."""
    return any(o[0] >= values[0] and o[1] <= values[1] and o[:2] != values[:2] for o in others)


def test_the_front_is_trained_from_scratch_after_all_trials_and_the_others_are_stopped(stored: Any) -> None:
    tasks = Search(stored).run()
    trials = [trial for trial in open_study(stored.folder).get_trials() if is_trained(trial)]
    assert len(trials) == len({trial.user_attrs["id"] for trial in trials}) == 20
    first = [task for task in tasks if task.number not in {t.number for t in tasks[: tasks.index(task)]}]
    again = tasks[len(first) :]
    assert tasks[: len(first)] == first  # no trial goes on before the last has started
    assert all(task.until == (9 if task.inherited is None else 3) for task in first)
    assert first[0].inherited is None  # there was no other
    assert sum(task.inherited is not None for task in first) >= 10
    assert all((task.until, task.inherited) == (9, None) for task in again)
    seen = {}
    for trial in trials:
        reached = trial.intermediate_values.get(3)
        accuracy = trial.values[0] if reached is None and trial.values else reached
        seen[trial.number] = (accuracy, trial.user_attrs["macs"])
    for trial in trials:
        is_inherited = INHERITED in trial.user_attrs
        on_front = not dominated(seen[trial.number], list(seen.values()))
        assert (trial.number in {task.number for task in again}) == (is_inherited and on_front)
        assert (trial.state == TrialState.COMPLETE) == (on_front or not is_inherited)
        assert outcome_name(trial) == ("completed" if trial.state == TrialState.COMPLETE else "stopped")
        assert len(trial.user_attrs["curve"]) == (9 if trial.state == TrialState.COMPLETE else 3)
        assert not (stored.folder / f"{trial.number:05d}" / CHECKPOINT).exists()
        if is_inherited:
            assert trial.user_attrs[INHERITED]["tensors"] == 5
            assert trial.user_attrs[INHERITED]["parent"] < trial.number
    assert Search(stored).run() == []


def test_the_sampler_tells_inherited_trainings_from_those_from_scratch(stored: Any) -> None:
    Search(stored).run()
    sources = [ObjectiveSource(0, -1.0)], [ObjectiveSource(1, 1.0, "macs")]
    reader = StudyReader(ArchitectureDomain(stored.space), *sources, budget=9, prior=())
    trials = open_study(stored.folder).get_trials()
    observations = reader.read(trials, len(trials), {}).observations
    found = Counter(zip(observations.shortfall.tolist(), observations.y.tolist(), strict=True))
    complete = Counter((0.0, trial.values[0]) for trial in trials if trial.values)
    inherited = Counter((0.5, value) for trial in trials for value in trial.intermediate_values.values())
    assert found == complete + inherited  # log(9 / 3) / log(9) = 0.5
    assert inherited


def test_time_before_a_training_from_scratch_counts_as_overhead(stored: Any) -> None:
    again = [task for task in Search(stored).run() if task.earlier.wall_s > 0]
    assert again
    assert {task.earlier.overhead_s for task in again} == {2.0}  # the whole inherited training


def test_a_driver_that_takes_over_goes_on_from_the_same_weights(stored: Any) -> None:
    search = Search(stored)
    task = search.propose()
    while task is not None and task.inherited is None:
        search.end(task)
        task = search.propose()
    assert task is not None  # the driver dies while it trains
    adopted = Search(stored).propose()
    assert adopted is not None
    assert adopted == task
    successor = Search(stored)  # it dies again, and a better parent turns up meanwhile
    (stored.folder / "00000" / WEIGHTS).unlink()
    assert successor.propose() == task


def test_a_training_from_scratch_that_was_killed_is_taken_up(stored: Any) -> None:
    search = Search(stored, target=8)
    while (task := search.propose()) is not None and task.earlier.wall_s == 0:
        search.end(task)
    assert task is not None
    successor = Search(stored, target=8)
    assert successor.propose() == task
    successor.end(task)
    rest = successor.run()
    numbers = [each.number for each in rest]
    assert len(numbers) == len(set(numbers))
    assert all(each.inherited is None for each in rest)


def test_more_trials_take_over_weights_of_stopped_ones(stored: Any) -> None:
    Search(stored, target=10).run()
    stopped = {t.number for t in open_study(stored.folder).get_trials() if outcome_name(t) == "stopped"}
    parents = {task.inherited.parent for task in Search(stored, target=20).run() if task.inherited is not None}
    assert stopped
    assert parents & stopped


def test_a_failed_trial_is_no_parent(stored: Any) -> None:
    search = Search(stored, target=12)
    failed = set()
    while (task := search.propose()) is not None:
        if task.number % 3 == 1:
            failed.add(task.number)
            search.ask_tell.record(task.number, Failed("it broke", seed=task.seed))
        else:
            search.end(task)
    parents = {task.inherited.parent for task in search.tasks if task.inherited is not None}
    assert parents
    assert not parents & failed


SPACE = SearchSpace.from_dict(
    {
        "image_size": 8,
        "in_chans": 1,
        "num_classes": 10,
        "stem": {"patch": 2},
        "stages": [{"mixer": {"conv": {"k": [3, 5]}}, "depth": [1, 2, 4], "width": [16, 24]}],
    }
)


def architecture(k: int, depth: int, width: int = 16) -> Architecture:
    return next(
        a
        for a in SPACE
        if (a.stages[0].depth, a.stages[0].width, a.stages[0].mixer.k) == (depth, width, k)  # type: ignore[union-attr]
    )


def parents_of(
    driver: Any, trained: dict[int, tuple[Architecture, float]], complete: set[int], missing: Collection[int] = ()
) -> Parents:
    """The parents among trials that were `trained`, of which some are `complete` and the weights of some `missing`."""
    ladder = Ladder(RULE, driver.objectives)
    for number, (_, accuracy) in trained.items():
        ladder.reach(number, 9 if number in complete else 3, [accuracy, 1.0, 1.0])
    return Parents(
        RULE.inherited_epochs,
        ladder,
        lambda numbers: {number: trained[number][0] for number in numbers},
        lambda number, file: number not in missing,
    )


def test_the_nearest_has_most_of_the_parameters(driver: Any) -> None:
    trained = {
        0: (architecture(3, 1), 0.9),
        1: (architecture(3, 4), 0.1),
        2: (architecture(5, 2), 0.9),
        3: (architecture(3, 2, 24), 0.9),
    }
    child = architecture(3, 2)
    assert parents_of(driver, trained, {0}).nearest(child) == Inheritance(1, INHERITED_WEIGHTS, 3)
    assert parents_of(driver, trained, {1}).nearest(child) == Inheritance(1, WEIGHTS, 3)
    without = parents_of(driver, trained, {0}, missing={1}).nearest(child)
    assert without is not None
    assert without.parent in (0, 2)
    assert parents_of(driver, {3: trained[3]}, {3}).nearest(child) is None  # no tensor of this width


def test_of_equally_near_ones_the_better_then_the_older_is_the_parent(driver: Any) -> None:
    trained = {n: (architecture(3, depth), accuracy) for n, depth, accuracy in ((4, 4, 0.5), (7, 2, 0.8), (9, 4, 0.8))}
    nearest = parents_of(driver, trained, {4, 7, 9}).nearest(architecture(3, 2))
    assert nearest is not None
    assert nearest.parent == 7
    assert MIN_SHARED_PARAMETERS < 1


@pytest.mark.parametrize(
    ("overrides", "rule"),
    [
        (["scheduler.name=halving"], "must be none with scheduler.name halving, found nearest"),
        (["train.epochs=1"], "needs at least 2 epochs (train.epochs), found 1"),
        (["sampler.name=tpe"], "needs the sampler pareto or random, found tpe"),
    ],
)
def test_what_does_not_go_with_inheritance_is_refused(tmp_path: Path, overrides: list[str], rule: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("space:\n  stages:\n    - {mixer: {pool: }, width: 8}\ntrain: {inherit: nearest}\n")
    config = StudyConfig.from_file(file)
    check_inheritance(config)
    assert create_promotion_rule(config) == FrontPromotion((7, 20))
    with pytest.raises(ConfigError) as error:
        check_inheritance(StudyConfig.from_file(file, *overrides))
    assert str(error.value).startswith(f"{file}:4:9: train.inherit: {rule}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seconds", [60.0, 90.0])
def test_within_a_time_budget_the_front_is_trained_from_scratch_and_the_next_one_goes_on(
    stored: Any, seconds: float
) -> None:
    budget = Budget(seconds)
    tasks = budget.run(stored)
    assert 0 <= budget.left_s < 0.35 * seconds  # enough was kept, and little is left
    trials = open_study(stored.folder).get_trials()
    assert all(trial.state.is_finished() for trial in trials)
    inherited = [task.number for task in tasks if task.inherited is not None]
    again = [task.number for task in tasks if task.number in inherited and task.inherited is None]
    assert len(inherited) > len(again) > 0
    assert [trial.number for trial in trials if outcome_name(trial) == "stopped"] == sorted({*inherited} - {*again})
    (line,) = budget.lines
    assert line.startswith(f"no further trial starts: the front ({len(again)} trial")
    more = Budget(seconds).run(stored)
    assert {task.number for task in more}.isdisjoint(trial.number for trial in trials)
    assert any(task.inherited is not None for task in more)


def test_a_budget_that_is_left_when_all_trials_have_ended_changes_nothing(stored: Any) -> None:
    budget = Budget(1e4)
    assert sum(task.inherited is not None for task in budget.run(stored, 20)) >= 10
    assert budget.lines == []
    assert len([trial for trial in open_study(stored.folder).get_trials() if is_trained(trial)]) == 20


def test_several_workers_need_less_time_and_time_is_kept_for_those_that_run() -> None:
    def needed_s(workers: int) -> float:
        time = FrontTime((2, 6), workers, lambda: 0.0, print)
        for number, wall_s in enumerate((1.0, 2.0, 3.0)):
            trained = Trained({"accuracy": 0.5}, [], 1.0, wall_s, 0.5)
            time.notify(TrialRecorded(number, Paused(1, Measured(), trained, epoch=2)))
        return time.needed_s([0, 1, 2])

    assert needed_s(1) == pytest.approx(3 + 1.1 * (3 + 6 + 9 + 6))
    assert needed_s(4) == pytest.approx(3 + 1.1 * ((3 + 6 + 4 * 6) / 4 + 9))
    assert FrontTime((2, 6), 1, lambda: 0.0, print).needed_s([0]) == 0  # as long as none has ended


def test_a_third_of_the_epochs() -> None:
    assert [inherited_epochs(epochs) for epochs in (2, 3, 4, 9, 20, 300)] == [1, 1, 1, 3, 7, 100]


def test_measured_values_and_trained_ones_of_a_paused_trial_are_attributes() -> None:
    trained = Trained({"accuracy": 0.5}, [], 1.0, 2.0, 0.5)
    paused = Paused(1, Measured({"images_per_s": 3.0}), trained, epoch=2, inherited=Inheritance(0, WEIGHTS, 2, 5, 0.5))
    plain = {"parent": 0, "file": WEIGHTS, "epochs": 2, "tensors": 5, "parameters": 0.5}
    assert paused.to_attributes()[INHERITED] == plain
    assert INHERITED not in Paused(1, Measured(), trained, epoch=2).to_attributes()
