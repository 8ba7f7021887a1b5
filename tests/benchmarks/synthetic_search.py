"""A search of a synthetic study, opened as `nas search` opens it, with made-up trainings; where its driver spends its time."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from dashboard_study import DEVICE, EPOCHS, RUNG, SPACE, generate_study
from rich.console import Console

from nas.driver.ask_tell import AskTell
from nas.driver.plan import create_halving
from nas.execution.garbage_collection import frozen_heap
from nas.objectives.costs import costs_of
from nas.study.config import StudyConfig
from nas.study.database.trial_database import driving
from nas.study.layout import DATABASE
from nas.study.operator_table import OperatorTable, operator_times, operators_to_time
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import Completed, Paused, WorkerOutcome
from nas.study.stored import StoredStudy
from nas.study.study_sampler import create_sampler
from nas.terminal.progress import TerminalDisplay
from search_space import Architecture, SearchSpace

OPERATOR_S = 1e-4
RUNNING = 8
"""Trials that run while `seconds`, `resume` and `memory` measure."""
PARTS = {
    "model": ["nas.sampler.objective_models:ObjectiveModels.estimate_front"],
    "candidates": [
        "nas.sampler.engine:Engine._score",
        "nas.sampler.engine:Engine._renew_candidates",
        "nas.sampler.candidate_pool:CandidatePool.add",
        "nas.sampler.candidate_pool:CandidatePool.available",
        "nas.sampler.engine:Engine.predict",
    ],
    "trials read": ["nas.sampler.study_reader:StudyReader.read"],
    "ask": ["optuna:Study.ask", "nas.study.database.trial_database:DatabaseTrials.open"],
    "parameters": ["optuna.storages._cached_storage:_CachedStorage.set_trial_param"],
    "attributes": ["optuna.trial:Trial.set_user_attr", "optuna.trial:Trial.set_constraint"],
    "tell": ["optuna:Study.tell"],
    "storage": [
        "nas.study.database.trial_database:DatabaseTrials.transact",
        "nas.study.database.trial_database:DatabaseTrials.read",
    ],
    "ladder": ["nas.driver.rungs.ladder:Ladder.promotion"],
    "segments": ["nas.driver.segment_log:SegmentLog.end", "nas.driver.segment_log:SegmentLog.read_workers"],
    "observers": ["nas.driver.ask_tell:AskTell.notify"],
}
"""Part of the driver's time -> the methods that it is spent in; time in a method of another part counts there."""


class Stopwatch:
    """CPU seconds spent in each of `PARTS`, exclusive of the others; methods that do not exist (any more) are left out."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = 0.0
        for part, places in PARTS.items():
            for place in places:
                self._wrap(part, place)

    def _wrap(self, part: str, place: str) -> None:
        module, _, path = place.partition(":")
        owner_name, _, name = path.partition(".")
        owner = getattr(import_module(module), owner_name, None)
        method = getattr(owner, name, None)
        if owner is None or method is None:
            return

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch(part)
            try:
                return method(*args, **kwargs)
            finally:
                self._switch(None)

        setattr(owner, name, timed)

    def _switch(self, part: str | None) -> None:
        """Enter `part`, or leave the current one."""
        now = time.thread_time()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        if part is None:
            self._stack.pop()
        else:
            self._stack.append(part)
        self._since = now


class Trainings:
    """Made-up outcomes of trainings, such as those of `dashboard_study.py`."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def outcome(self, architecture: Architecture, seed: int, until: int | None) -> WorkerOutcome:
        """The outcome of a segment up to `until`."""
        epochs = until or EPOCHS
        macs = costs_of(architecture).macs
        last = float(np.clip(0.55 + 0.1 * (np.log10(macs) - 6) + self.rng.normal(0, 0.02), 0.05, 0.99))
        noise = self.rng.normal(0, 0.005, epochs).tolist()
        curve = [
            {
                "epoch": 1 + epoch,
                "train_loss": 2.3 * 0.9**epoch * (1 + noise[epoch]),
                "val_loss": 2.3 * 0.91**epoch * (1 + noise[epoch]),
                "val_accuracy": float(np.clip(last * (1 - 0.8 ** (2 + epoch)) + noise[epoch], 0.0, 1.0)),
                "lr": 0.003 * (EPOCHS - epoch) / EPOCHS,
                "train_s": 0.9,
                "wall_s": 1.0 + epoch,
            }
            for epoch in range(epochs)
        ]
        images_per_s = float(3e9 / macs**0.7 * self.rng.uniform(0.9, 1.1))
        details = {"images_per_s_interval": [0.98 * images_per_s, 1.02 * images_per_s], "batch_size": 256, "drift": 1.0}
        measured = Measured({"images_per_s": images_per_s}, {"throughput": details}, DEVICE)
        trained = Trained({"accuracy": curve[-1]["val_accuracy"]}, curve, 0.9 * epochs, epochs + 0.7, 0.7)
        if epochs < EPOCHS:
            return Paused(seed, measured, trained, 0.1, epoch=epochs)
        return Completed(seed, measured, trained, 0.1)


@dataclass
class OpenedSearch:
    """A search of a synthetic study, as `nas search` opens it, up to the point where trials are proposed."""

    folder: Path
    sampler: str
    halves: bool
    target: int
    workers: int = RUNNING
    trainings: Trainings = field(default_factory=Trainings)
    ask_tell: AskTell = field(init=False)
    _opened: ExitStack = field(init=False, default_factory=ExitStack)

    def __post_init__(self) -> None:
        overrides = ["data.path=PHOTOS", f"train.epochs={EPOCHS}", f"sampler.name={self.sampler}"]
        if self.halves:
            overrides += ["scheduler.name=halving", f"scheduler.first_epochs={RUNG}", "scheduler.reduction=4"]
        config = StudyConfig.from_file(SPACE, *overrides)
        space = SearchSpace.from_file(SPACE)
        operators = operators_to_time(space, config.seed)
        table = OperatorTable(operator_times(operators, [OPERATOR_S] * len(operators)), 256)
        start, cpu = time.perf_counter(), time.thread_time()
        study = StoredStudy.open(self.folder)
        existing = len(study.trials)
        study.optuna.sampler = create_sampler(config, space, (), {"images_per_s": table}, existing)
        terminal = Console(file=StringIO(), force_terminal=True)  # which nobody sees
        self.ask_tell = AskTell(
            study.optuna,
            space,
            study.objectives,
            existing + self.target,
            folder_of=lambda number: self.folder / "trials" / f"{number:05d}",
            seed=config.seed,
            promotion_rule=create_halving(config),
            observers=(self._opened.enter_context(TerminalDisplay(terminal).trials()),),
            store=self._opened.enter_context(driving(study.optuna, self.folder, None)),
        )
        self.ask_tell.start(self.workers)
        self._opened.enter_context(frozen_heap())
        self.opened_s, self.opened_cpu_s = time.perf_counter() - start, time.thread_time() - cpu

    def __enter__(self) -> OpenedSearch:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()


def prepare(folder: Path, trials: int, halves: bool) -> Path:
    """A synthetic study of `trials` trials in `folder`; with `halves` three of four complete ones were stopped at the rung."""
    generate_study(folder, trials)
    if not halves:
        return folder
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.executescript(f"""
            INSERT OR IGNORE INTO trial_intermediate_values
                (trial_id, step, intermediate_value, intermediate_value_type)
            SELECT t.trial_id, {RUNG}, json_extract(a.value_json, '$[{RUNG - 1}].val_accuracy'), 'FINITE'
            FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'curve'
            WHERE t.state = 'COMPLETE';
            CREATE TEMP TABLE stopped AS SELECT trial_id FROM trials WHERE state = 'COMPLETE' AND trial_id % 4 > 0;
            DELETE FROM trial_values WHERE trial_id IN stopped;
            UPDATE trials SET state = 'PRUNED' WHERE trial_id IN stopped;
            UPDATE trial_user_attributes SET value_json = '"stopped"' WHERE key = 'outcome' AND trial_id IN stopped;
        """)
    return folder
