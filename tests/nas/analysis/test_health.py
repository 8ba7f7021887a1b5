"""The findings about a study: each verdict on studies made for it, and all of them on studies of every shape."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from nas.analysis.fidelity_file import FIDELITY_FILE, read_fidelity
from nas.analysis.finding import Finding, grade
from nas.analysis.health import health
from nas.analysis.results import Results

KEYS = ["progress", "baseline", "noise", "proxy", "sampler", "failed", "refused", "interrupted", "idle", "images"]
COUNTS = {"train": [50, 50], "val": [50, 50], "test": [50, 50]}
TWO_CLASSES = {
    "name": "two", "num_classes": 2, "class_names": ["a", "b"], "class_counts": COUNTS, "train": 100, "val": 100, "test": 100,
}  # fmt: skip
FIVE = ("accuracy", "macs", "images_per_s", "params", "latency_ms")


def findings_of(folder: Path) -> dict[str, Finding]:
    found = health(Results.load(folder))
    assert json.loads(json.dumps([finding.to_dict() for finding in found], allow_nan=False))
    for finding in found:
        assert finding.title
        assert 0 < len(finding.value) <= 40
        assert finding.text.endswith(".")
        assert "nan" not in finding.text
    return {finding.key: finding for finding in found}


@pytest.fixture
def write(tmp_path: Path, study_writer: Any, stored_trial: Any) -> Any:
    """Writes a study of trials given as (accuracy, macs, further attributes)."""

    def write_study(rows: list[tuple[float, float, dict[str, Any]]], **options: Any) -> Path:
        trials = [stored_trial([accuracy, macs], None, attributes) for accuracy, macs, attributes in rows]
        return study_writer(tmp_path / "study", trials, objectives=("accuracy", "macs"), **options)

    return write_study


def test_a_study_without_trials_is_unknown(empty_study: Path) -> None:
    found = findings_of(empty_study)
    assert list(found) == KEYS
    known = {key for key, finding in found.items() if finding.verdict != "unknown"}
    assert known == {"interrupted"}


@pytest.mark.parametrize("names", [("accuracy", "macs"), FIVE, ("macs", "params"), ("balanced_accuracy", "macs")])
def test_one_trial_and_many_of_any_objectives(
    tmp_path: Path, study_writer: Any, stored_trial: Any, names: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    one = study_writer(tmp_path / "one", [stored_trial([0.5] * len(names))], objectives=names)
    assert findings_of(one)["progress"].value == "1 complete trial"
    trials = [stored_trial([float(x) for x in rng.uniform(0.1, 0.9, len(names))]) for _ in range(40)]
    many = findings_of(study_writer(tmp_path / "many", trials, objectives=names))
    assert many["progress"].verdict != "unknown"
    assert (many["noise"].value, many["noise"].verdict) == ("not measured", "unknown")


def test_all_failed(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    failed = stored_trial(None, TrialState.FAIL, {"failure": "RuntimeError: loss is nan", "outcome": "failed"})
    found = findings_of(study_writer(tmp_path, [failed] * 3))
    assert (found["failed"].verdict, found["failed"].value) == ("bad", "100 %")
    assert "3 times loss not finite" in found["failed"].text


@pytest.mark.parametrize(("failed", "verdict"), [(0, "good"), (1, "good"), (5, "warn"), (40, "bad")])
def test_the_share_of_failures_is_graded(
    tmp_path: Path, study_writer: Any, stored_trial: Any, failed: int, verdict: str
) -> None:
    trials = [stored_trial([0.5, 1.0])] * (100 - failed)
    trials += [stored_trial(None, TrialState.FAIL, {"failure": "bad", "outcome": "failed"})] * failed
    folder = study_writer(tmp_path, trials, objectives=("accuracy", "macs"))
    assert findings_of(folder)["failed"].verdict == verdict


def test_refused_trials_by_limit(digits_study: Path) -> None:
    found = findings_of(digits_study)
    assert found["refused"].verdict == "good"  # 6 of 36
    assert found["refused"].value == "17 %"
    assert "3 over limit macs, 3 proposed before of 36 trials" in found["refused"].text
    assert found["interrupted"].verdict == "warn"  # trial 36
    assert found["interrupted"].value == "1"


def test_a_search_that_stopped_improving(write: Any) -> None:
    """All 10 trials of the front are among the first 10 of 100, of which the probability by chance is 0.1^10."""
    front = [(0.5 + 0.04 * i, 10.0 * 1.5**i, {}) for i in range(10)]
    stuck = findings_of(write([*front, *[(0.4, 900.0, {})] * 90]))["progress"]
    assert stuck.verdict == "bad"
    assert "the last 90 trials did not enter the front" in stuck.text


def test_a_search_that_still_improves(write: Any) -> None:
    rising = findings_of(write([(0.1 + 0.02 * i, 10.0 + i, {}) for i in range(40)]))["progress"]
    assert rising.verdict == "good"
    assert "the latest trial entered the front" in rising.text


def test_a_front_that_hardly_grows(write: Any) -> None:
    early = [(0.5, 10.0, {}), (0.9, 1000.0, {}), *[(0.4, 900.0, {})] * 20]
    late = [(0.9001, 1000.0, {}), *[(0.4, 900.0, {})] * 7]
    hardly = findings_of(write([*early, *late]))["progress"]
    assert hardly.verdict == "warn"
    assert hardly.value.startswith("+0.0 %")


def predicted(value: float, median: float, width: float) -> dict[str, Any]:
    return {"predicted": {"accuracy": [median, median - width, median + width]}}


@pytest.mark.parametrize(
    ("sign", "width", "verdict", "words"),
    [(1, 0.02, "good", "about right"), (1, 0.0001, "warn", "too sure"), (1, 1.0, "warn", "too cautious"),
     (-1, 0.02, "bad", "does not rank")],
)  # fmt: skip
def test_the_model_of_the_sampler(write: Any, sign: int, width: float, verdict: str, words: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0.4, 0.9, 60)
    errors = rng.normal(0, 0.02, 60)
    rows = [
        (float(v), 1.0, predicted(v, float(0.65 + sign * (v - 0.65) + e), width))
        for v, e in zip(values, errors, strict=True)
    ]
    finding = findings_of(write(rows))["sampler"]
    assert finding.verdict == verdict
    assert words in finding.text


def test_rungs_against_the_end(tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    rng = np.random.default_rng(0)
    finals = rng.uniform(0.5, 0.9, 30)
    results = Results.load(
        study_writer(tmp_path, [stored_trial([float(v), 1.0]) for v in finals], objectives=("accuracy", "macs"))
    )
    assert "rungs" not in {finding.key for finding in health(results)}  # no scheduler

    def verdict_of(values: Any) -> Finding:
        trials = results.trials.assign(rungs=[{3: float(value)} for value in values])
        return next(f for f in health(replace(results, summary=trials)) if f.key == "rungs")

    assert (verdict_of(finals / 2).verdict, verdict_of(finals / 2).value) == ("good", "tau 1.00")
    assert verdict_of(-finals).verdict == "bad"
    waiting = replace(results, config={"scheduler": {"name": "halving"}})
    assert next(f for f in health(waiting) if f.key == "rungs").verdict == "unknown"
    trials = results.trials.assign(rungs=[{3: float(-value)} for value in finals])
    inheriting = replace(results, summary=trials, config={"train": {"inherit": "nearest"}})
    finding = next(f for f in health(inheriting) if f.key == "rungs")
    assert (finding.title, finding.verdict) == ("Ranking by inherited trainings", "bad")
    assert "train.inherit=none" in finding.text


def fidelity_line(name: str, seed: int, epochs: int, accuracy: float, **changed: Any) -> str:
    record = {"key": f"{name}{seed}{epochs}", "id": name, "seed": seed, "device": "cpu", "epochs": epochs, "images": 1}
    return json.dumps({**record, "pixels": 1, "curve": [[0.1, 1.0], [accuracy, 1.0]], **changed})


def test_noise_and_proxy_as_fidelity_has_measured_them(write: Any) -> None:
    """Pairs of accuracies 0.02 apart have a standard deviation of 0.02 / sqrt(2); the front spans 0.4."""
    folder = write([(0.5, 10.0, {}), (0.7, 20.0, {}), (0.9, 40.0, {})])
    (folder / FIDELITY_FILE).parent.mkdir()
    lines = ["{damaged", fidelity_line("a", 9, 4, 0.9, images=2), fidelity_line("a", 9, 4, 0.9, failure="x")]
    for name, mean in zip("abcdef", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), strict=True):
        lines += [fidelity_line(name, seed, 4, mean + 0.01 * (-1) ** seed) for seed in (0, 1)]
        lines += [fidelity_line(name, seed, 16, mean + 0.2) for seed in (2, 3)]
    (folder / FIDELITY_FILE).write_text("\n".join(lines))
    measured = read_fidelity(folder, 4)
    assert measured is not None
    assert measured.noise == pytest.approx(0.02 / 2**0.5)
    assert read_fidelity(folder, 5) is None
    found = findings_of(folder)
    assert found["noise"].verdict == "good"  # 3.5 %
    assert found["noise"].text.startswith("One training varies by 0.0141 (measured by nas fidelity), 4 % of the front")
    assert (found["proxy"].verdict, found["proxy"].value) == ("good", "tau 1.00")
    (folder / FIDELITY_FILE).write_text("\n".join(lines[:15]))  # three architectures
    assert findings_of(folder)["proxy"].verdict == "unknown"


def test_noise_from_curves_is_a_lower_bound(write: Any) -> None:
    """Changes of +-0.1 between the last epochs are a deviation of 0.1 / sqrt(2): more than a third of a range of 0.2."""

    def curve(change: float) -> dict[str, Any]:
        return {"curve": [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.5 + change}]}

    def rows(size: float) -> list[tuple[float, float, dict[str, Any]]]:
        return [(0.5 + 0.02 * i, 10.0 + i, curve(size * (-1) ** i)) for i in range(10)]

    loud = findings_of(write(rows(0.1)))["noise"]
    assert (loud.verdict, loud.value) == ("bad", "± 0.0707")
    assert "a lower bound, from the last epochs of 10 trials" in loud.text


def test_a_small_lower_bound_proves_nothing(write: Any) -> None:
    curve = {"curve": [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.5}]}
    assert findings_of(write([(0.5 + 0.02 * i, 10.0 + i, curve) for i in range(10)]))["noise"].verdict == "unknown"


@pytest.mark.parametrize(("idle_s", "verdict"), [(0.1, "good"), (1.0, "warn"), (5.0, "bad")])
def test_idle_workers(write: Any, idle_s: float, verdict: str) -> None:
    times = {"train_s": 8.0, "wall_s": 10.0, "overhead_s": 1.0, "idle_s": idle_s}
    assert findings_of(write([(0.5, 1.0, times)]))["idle"].verdict == verdict


def test_chance_and_images(write: Any, tmp_path: Path, study_writer: Any, stored_trial: Any) -> None:
    """Of 100 images half are of one class: chance is 0.5 with a standard error of 0.05, so 0.55 is no better."""
    better = findings_of(write([(0.7, 1.0, {})], dataset=TWO_CLASSES))
    assert (better["baseline"].verdict, better["images"].verdict) == ("good", "good")
    mostly_a = {**TWO_CLASSES, "class_counts": {**COUNTS, "train": [90, 10]}}
    trial = [stored_trial([0.55, 1.0])]
    chance = findings_of(study_writer(tmp_path / "b", trial, objectives=("accuracy", "macs"), dataset=mostly_a))
    assert (chance["baseline"].verdict, chance["images"].verdict) == ("bad", "warn")
    assert chance["baseline"].value == "0.5500 against 0.5000"


def test_large_studies_with_short_columns_are_quick(digits_study: Path) -> None:
    """10,000 trials, without curves, and with the architectures of the latest 1,000 alone."""
    results = Results.load(digits_study)
    health(results)  # imports
    copies = 280
    trials = results.trials.loc[results.trials.index.repeat(copies)].reset_index(drop=True)
    count = len(trials)
    trials["trial"] = range(count)
    trials["curve"] = [[]] * count
    trials["architecture"] = trials["architecture"].where(trials.index >= count - 1000, None)
    large = replace(results, summary=trials)
    start = time.perf_counter()
    found = {finding.key: finding.verdict for finding in health(large)}
    assert time.perf_counter() - start < 3  # about 0.3 on an idle machine
    assert found["noise"] == "unknown"
    assert found["progress"] != "unknown"


def test_grades_rise_or_fall() -> None:
    assert [grade(x, 0.1, 0.3) for x in (0.0, 0.1, 0.3)] == ["good", "warn", "bad"]
    assert [grade(x, 0.5, 0.2) for x in (0.6, 0.5, 0.2)] == ["good", "warn", "bad"]
