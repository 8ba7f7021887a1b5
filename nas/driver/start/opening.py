"""Opens the study of a configuration, or creates it."""

from __future__ import annotations

from pathlib import Path

import optuna

from nas.driver.start.home import StudyHome, find_home
from nas.driver.start.reading import ImageReader
from nas.driver.start.start_checks import check_decoded, check_new_study
from nas.driver.start.warm_start import earlier_study_attributes, first_architectures
from nas.study.config import StudyConfig
from nas.study.continuation import check_continues
from nas.study.database.storage_url import StorageUrl
from nas.study.layout import DATA
from nas.study.limits import find_cheapest
from nas.study.stored import StoredStudy
from search_space import SearchSpace
from trainers.data.description import DatasetInfo


def open_or_create_study(config: StudyConfig, folder: Path, storage: StorageUrl | None = None) -> StoredStudy:
    """The study of `config` in `folder`; if there is none yet, its images are decoded and it is created.

    Raises:
        ConfigError: the configuration, its data or its space break a rule, or the study in `folder` has another one.
        UsageError: a search runs in the folder while the study would be created.
    """
    home = find_home(config, folder, storage)
    if home.holds_study:
        study = home.open()
        check_continues(config, study.config)
        return study
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with ImageReader(config, folder / DATA) as images:
        check_new_study(config, folder, images)
        with home.locked():
            images.decode()
            space = check_decoded(config, images)
            return open_or_create(config, home, space, images.result()[1])


def open_or_create(config: StudyConfig, home: StudyHome, space: SearchSpace, dataset: DatasetInfo) -> StoredStudy:
    """The study at `home`; it is created if there is none, also by another driver meanwhile.

    Raises:
        ConfigError: it has another configuration, or other images.
    """
    if not home.holds_study:
        # The cheapest network is on the front whatever its accuracy, so it is trained first.
        first = [find_cheapest(space, "macs", config.seed), *first_architectures(config, space)]
        more = earlier_study_attributes(config)
        study = StoredStudy.create(home.folder, config, space, dataset, first, home.storage, more)
        if home.storage is None:
            return study
        check_continues(config, study.config)  # another driver may have created it meanwhile
    study = home.open()
    study.check_images(config, dataset)
    study.name_values()
    return study
