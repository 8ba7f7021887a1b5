"""`provenance.json`: where a model comes from, as a typed record: study, trial, seeds, versions, data, and each accuracy apart.

It names no host, no folder and no user, so that it may be published.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from nas import objectives
from nas.formatting import finite_or_none
from nas.models.export.licences import licence_of
from nas.models.export.trained_model import TrainedModel, whole_or_none
from nas.study.database.drivers import DRIVER
from nas.study.environment import PACKAGES, environment_of, versions
from nas.study.outcomes.predicted_values import predictions_of
from search_space import cost
from trainers.data.types import PARTS

PROVENANCE_FILE = "provenance.json"
SCHEMA = 1
"""The schema number of the record; a reader refuses a higher one."""
MACHINE_KEYS = ("processor", "platform", "cpus")
"""What an export says of the machine of a search: all that the study knows but its name."""


@dataclass(frozen=True)
class Accuracies:
    """What is known of the accuracy of a network, each on its own split and never mixed; shares of images, 0 to 1.

    Args:
        proxy: on the validation split after the short training of the search, by which the architecture was chosen.
        retrained: on the validation split after a full training; None: the weights are those of the short training.
        test: of these weights on the test split, which no choice was based on; None: they were not tested.
    """

    proxy: float | None = None
    retrained: float | None = None
    test: float | None = None


@dataclass(frozen=True)
class DataOrigin:
    """The images of a training.

    Args:
        name: of the data set.
        source: the data source (`trainers.data.sources`).
        fingerprint: a digest of all images, their labels and their split.
        images: number of images of each split.
        image_size: height and width, in pixels.
        in_chans: channels of an image.
        num_classes: number of classes.
        licence: an SPDX identifier; None: it is not known.
    """

    name: str
    source: str
    fingerprint: str
    images: Mapping[str, int]
    image_size: Sequence[int]
    in_chans: int
    num_classes: int
    licence: str | None


@dataclass(frozen=True)
class Provenance:
    """Where an exported model comes from.

    Args:
        name: of the model.
        study: name of the study.
        trial: number of the trial.
        architecture_id: the canonical id of the architecture.
        study_seed: the seed of the study; None if it does not say.
        training_seed: the seed of the training.
        epochs: number of epochs of the training that the weights are from.
        training: its configuration, plain JSON.
        run: of a full training, its folder in the study: `trial-12/RECIPE/seed-0`; None for the training of the search.
        teacher: the timm model whose outputs were distilled; None: there was none.
        training_device: the processor or GPU that it ran on; None if it is not known.
        accuracies: see `Accuracies`.
        values: objective -> value in the search, such as measured throughput.
        predicted_values: objective -> [value, low, high], of those `values` that were predicted and not measured.
        costs: exact costs: `macs`, `params`, `fft_flops`, `activation_bytes`.
        device: the processor or GPU of the measurements of the search; None if it is not known.
        data: see `DataOrigin`.
        trained_with: package -> version, and the machine, of that training; empty if the study does not say.
        exported_with: package -> version, of the export.
        exported_at: the time of the export (UTC, ISO 8601).
    """

    name: str
    study: str
    trial: int
    architecture_id: str
    study_seed: int | None
    training_seed: int | None
    epochs: int
    training: Mapping[str, Any]
    run: str | None
    teacher: str | None
    training_device: str | None
    accuracies: Accuracies
    values: Mapping[str, float]
    costs: Mapping[str, int]
    device: str | None
    data: DataOrigin
    trained_with: Mapping[str, str]
    exported_with: Mapping[str, str]
    exported_at: str
    predicted_values: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, trained: TrainedModel) -> Self:
        """The provenance of `trained`, which is exported now."""
        study, row, run = trained.study, trained.row, trained.run
        architecture = trained.network.architecture
        device = None if row["device"] is None else str(row["device"])
        return cls(
            name=trained.name,
            study=study.name,
            trial=trained.trial,
            architecture_id=architecture.id,
            study_seed=whole_or_none(study.config.get("seed")),
            training_seed=trained.seed,
            epochs=trained.epochs,
            training=trained.train_config,
            run=None if run is None else "/".join(run.folder(Path()).parts[1:]),
            teacher=None if run is None else run.teacher,
            training_device=device if run is None else run.device,
            accuracies=_accuracies(trained),
            values=_values(trained),
            costs=asdict(cost(architecture)),
            device=device,
            data=_data_origin(trained),
            trained_with=_environment(trained) if run is None else dict(run.versions),
            exported_with=versions(),
            exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
            predicted_values={name: p.to_list() for name, p in predictions_of(dict(row)).items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with the schema number."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; keys that a later version added are passed over.

        Raises:
            ValueError: it is no such record, or one of a later schema.
        """
        try:
            if not 1 <= int(plain["schema"]) <= SCHEMA:
                raise ValueError(f"schema: must be at most {SCHEMA}, found {plain['schema']}")
            known = _known(cls, plain)
            known["accuracies"] = Accuracies(**_known(Accuracies, plain["accuracies"]))
            known["data"] = DataOrigin(**_known(DataOrigin, plain["data"]))
            return cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"is no record of where a model comes from: {error!r:.200}") from None


def write_provenance(provenance: Provenance, file: Path) -> None:
    """Write the record."""
    file.write_text(json.dumps(provenance.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _known(kind: type, plain: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: plain[field.name] for field in fields(kind) if field.name in plain}


def _values(trained: TrainedModel) -> dict[str, float]:
    """The measured and trained values of the trial, those that are known."""
    names = (*objectives.names("measured"), *objectives.names("trained"))
    values = {name: float(trained.row[name]) for name in dict.fromkeys(names) if name in trained.row}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _accuracies(trained: TrainedModel) -> Accuracies:
    """The accuracies of the weights, and that of the short training of the search."""
    proxy = finite_or_none(float(trained.row["accuracy"]))
    if trained.run is not None:
        return Accuracies(proxy, trained.run.val_accuracy, trained.run.test_accuracy)
    return Accuracies(proxy, test=_share(trained.study.test_accuracy.get(str(trained.trial))))


def _data_origin(trained: TrainedModel) -> DataOrigin:
    images, study = trained.images, trained.study
    data = study.config.get("data")
    source = str(data.get("source", "")) if isinstance(data, Mapping) else ""
    licence = licence_of(source)
    return DataOrigin(
        name=images.name,
        source=source,
        fingerprint=images.fingerprint,
        images={str(part): len(getattr(images, part)) for part in PARTS},
        image_size=list(images.image_size),
        in_chans=images.in_chans,
        num_classes=images.num_classes,
        licence=None if licence is None else licence.name,
    )


def _environment(trained: TrainedModel) -> dict[str, str]:
    """Versions and machine of the search that trained the trial."""
    trial = next(trial for trial in trained.study.trials if trial.number == trained.trial)
    found = environment_of(trained.study.environments, trial.datetime_start, trial.user_attrs.get(DRIVER))
    keys = ("mixfront", "python", *PACKAGES, *MACHINE_KEYS)
    return {key: str(found[key]) for key in keys if key in found}


def _share(value: object) -> float | None:
    """`value` if it is a share, 0 to 1."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
