"""The drivers of a study in its database, by plain SQL: how they announce themselves, and the trials that they run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from nas.study.database.connections import Query
from nas.study.database.drivers import DRIVER, DRIVERS, DriverRecord, drivers_of
from trainers.json_text import parse_json


def read_drivers(query: Query, study: int) -> dict[str, DriverRecord]:
    """The drivers that the study with the id `study` announces, by their ids."""
    sql = "SELECT a.key, a.value_json FROM study_user_attributes a WHERE a.study_id = ? AND a.key LIKE 'driver:%'"
    attributes: dict[str, Any] = {}
    for name, text in query(sql, (study,)):
        with suppress(ValueError, TypeError):
            attributes[name] = parse_json(text)
    return drivers_of(attributes)


def write_driver(query: Query, study: int, driver: str, record: DriverRecord) -> None:
    """Announce `driver` in the study with the id `study`, or replace its record."""
    text, name = json.dumps(asdict(record)), DRIVERS + driver
    changed = query(
        "UPDATE study_user_attributes SET value_json = ? WHERE study_id = ? AND key = ? RETURNING study_id",
        (text, study, name),
    )
    if not changed:
        query("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (?, ?, ?)", (study, name, text))


def remove_driver(query: Query, study: int, driver: str) -> None:
    """Forget `driver`."""
    query("DELETE FROM study_user_attributes WHERE study_id = ? AND key = ?", (study, DRIVERS + driver))


def trials_of_driver(query: Query, study: int, driver: str) -> Sequence[int]:
    """The ids of the trials that run and name `driver`."""
    rows = query(
        "SELECT t.trial_id FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id"
        " WHERE t.study_id = ? AND t.state = 'RUNNING' AND a.key = ? AND a.value_json = ?",
        (study, DRIVER, json.dumps(driver)),
    )
    return [row[0] for row in rows]
