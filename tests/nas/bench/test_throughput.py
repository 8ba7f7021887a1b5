from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from typer.testing import CliRunner

from nas.bench.throughput import WAYS, agreement, median_difference
from nas.bench.throughput_plan import sample_architectures
from nas.cli.main import app
from nas.errors import UsageError
from nas.study.operator_table import operators_to_time
from search_space import SearchSpace

STUDY = """\
space:
  stages: [{mixer: {conv: {k: [3, 5]}, pool: null}, width: [8, 16], depth: [1, 2]}]
  stem: {patch: 2}
  image_size: 8
"""


def test_agreement_is_the_mean_of_kendalls_tau_over_pairs_of_rounds() -> None:
    rounds = np.random.default_rng(0).lognormal(size=(3, 25))
    taus = [kendalltau(a, b).statistic for a, b in itertools.combinations(rounds, 2)]
    estimate = agreement(rounds)
    assert estimate.value == pytest.approx(np.mean(taus))
    assert estimate.low < estimate.value < estimate.high
    assert agreement(np.stack([rounds[0], 2 * rounds[0]])).value == 1


def test_difference_is_relative() -> None:
    once = np.array([1.0, 10.0, 100.0])
    assert median_difference(np.stack([once, once * math.e**0.1])) == pytest.approx(0.1)


def test_a_sample_has_no_duplicates(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    space = SearchSpace.from_file(file)
    assert len({architecture.id for architecture in sample_architectures(space, space.size, 0)}) == space.size
    with pytest.raises(UsageError, match=f"--sample {space.size + 1}: the space has {space.size}"):
        sample_architectures(space, space.size + 1, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope.yaml"], "nope.yaml: a study is a YAML file: no such file"),
        (["study.yaml", "--device", "tpu"], "--device: must be cpu, cuda or cuda:NUMBER, found 'tpu'"),
        (["study.yaml", "--sample", "4000"], "--sample 4000: the space has"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    error = CliRunner().invoke(app, ["bench", "throughput", *words]).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert re.match(message, str(error))


def test_networks_are_measured_beside_real_trainings(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    words = ["bench", "throughput", str(file), "--sample", "3", "--beside", "1", "--operators-s", "600", "--json"]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert set(report["ways"]) == set(WAYS)
    assert len(report["architectures"]) == 3
    for row in report["architectures"]:
        assert row["predicted"] > 0
        for way in WAYS:
            assert len(row[way]) == 2
            assert all(speed > 0 for speed in row[way])
    references = [math.sqrt(math.prod(row["exclusive"])) for row in report["architectures"]]
    ratios = [row["predicted"] / reference for row, reference in zip(report["architectures"], references, strict=True)]
    predicted = report["predicted"]
    assert predicted["ratio"] == pytest.approx(sorted(ratios)[1])
    assert predicted["operators"] == len(operators_to_time(SearchSpace.from_file(file)))  # the time is enough for all
    predictions = [row["predicted"] for row in report["architectures"]]
    assert predicted["kendall_tau"]["value"] == pytest.approx(kendalltau(predictions, references).statistic)
    for way in report["ways"].values():
        assert -1 <= way["kendall_tau"]["value"] <= 1
        assert way["seconds_a_measurement"] > 0
