"""The table of bad inputs: each ends in one line with place, rule and value, with its exit code, in time; nothing is executed,
and nothing is lost.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import rows_caches
import rows_images
import rows_options
import rows_storage
import rows_tables
import rows_urls
import rows_yaml
from bad_input import BadInput, WarmNas, faults

from nas import StudyConfig
from nas.errors import ConfigError

TABLES = (rows_storage, rows_options, rows_yaml, rows_images, rows_tables, rows_caches, rows_urls)
ROWS = tuple(row for table in TABLES for row in table.ROWS)


STUDY = """\
name: digits
seed: 7
trials: 40
data: {source: digits, limit: 200}
space: {stem: {patch: 4}, stages: [{mixer: conv, width: [8, 16], depth: 1}]}
train: {epochs: 4}
sampler: {name: tpe}
resources: {executor: local, workers: 1}
"""


@pytest.fixture(scope="module")
def warm_nas() -> Iterator[WarmNas]:
    """Runs commands in forks of one process that has imported everything."""
    with WarmNas.started() as started:
        yield started


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, digits_study: Path) -> Path:
    """A folder with the studies that rows copy: `done` has synthetic trials, `trained` weights (version 0.1 wrote it)."""
    folder = tmp_path_factory.mktemp("bases")
    shutil.copytree(digits_study, folder / "done")
    (folder / "done" / "study.yaml").write_text(STUDY)
    shutil.copytree(Path(__file__).parents[2] / "fixtures" / "v0_1" / "study", folder / "trained")
    return folder


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_bad_input_is_an_error_in_one_line(warm_nas: WarmNas, bases: Path, tmp_path: Path, row: BadInput) -> None:
    (tmp_path / "in").mkdir()
    if row.base:
        shutil.copytree(bases / row.base, tmp_path / "in" / "done")
    row.make(tmp_path / "in")
    assert faults(row, warm_nas.run(tmp_path, row.word_list)) == []


@pytest.mark.parametrize("key", rows_yaml.KEYS)
def test_a_number_that_a_key_cannot_have_is_an_error_in_one_line(tmp_path: Path, key: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(rows_yaml.STUDY)
    for number in rows_yaml.NUMBERS.values():
        with pytest.raises(ConfigError) as error:
            StudyConfig.from_file(file, f"{key}={number}")
        assert key.rpartition(".")[2] in str(error.value)
        assert "\n" not in str(error.value)
