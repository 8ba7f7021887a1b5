"""Outcomes as workers send them, and as the headers of weights hold them: plain JSON with a schema number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nas.study.outcomes.inheritance import Inheritance
from nas.study.outcomes.outcome_parts import Measured, Trained
from nas.study.outcomes.records import OUTCOME, WORKER_OUTCOMES, Completed, WorkerOutcome, name_of
from nas.study.segments import SEGMENT, Segment

SCHEMA = 1
"""The schema number of records; a reader refuses a higher one."""

_PARTS: Mapping[str, type[Any]] = MappingProxyType({"measured": Measured, "trained": Trained, "inherited": Inheritance})
"""Fields of outcomes that are dataclasses themselves."""


def to_record(outcome: WorkerOutcome, segment: Segment | None = None) -> dict[str, Any]:
    """Convert `outcome` to plain JSON, as a worker sends it together with its `segment`."""
    extra = {} if segment is None else {SEGMENT: segment.to_dict()}
    return {"schema": SCHEMA, OUTCOME: name_of(outcome), **_plain(outcome), **extra}


def segment_of(record: Mapping[str, Any]) -> Segment | None:
    """The segment that a worker has sent with its outcome; None if it has sent none."""
    return Segment.from_dict(record[SEGMENT]) if record.get(SEGMENT) else None


def from_record(record: Mapping[str, Any]) -> WorkerOutcome:
    """The inverse of `to_record`; a record of version 0.1 (without `schema`) is that of a completed training.

    Raises:
        ValueError: the record has a higher schema number than this version knows.
    """
    if "schema" not in record:
        return _completed_of_version_0_1(record)
    if record["schema"] > SCHEMA:
        raise ValueError(f"record: schema must be at most {SCHEMA}, found {record['schema']}")
    kind = WORKER_OUTCOMES[record[OUTCOME]]
    fields = {name: value for name, value in record.items() if name not in ("schema", OUTCOME, SEGMENT)}
    for name, inner in _PARTS.items():
        if fields.get(name) is not None:
            fields[name] = inner(**fields[name])
    return kind(**fields)


def _completed_of_version_0_1(record: Mapping[str, Any]) -> Completed:
    trained = Trained(
        values={"accuracy": record["accuracy"]},
        curve=record["curve"],
        train_s=record["train_s"],
        wall_s=record["wall_s"],
        overhead_s=record["overhead_s"],
    )
    return Completed(record["seed"], Measured.from_attributes(record), trained, record.get("idle_s", 0.0))


def _plain(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as plain JSON; nested dataclasses are converted, too."""
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return {
        name: _plain(item)
        if isinstance(item, tuple(_PARTS.values()))
        else dict(item)
        if isinstance(item, Mapping)
        else item
        for name, item in fields.items()
    }
