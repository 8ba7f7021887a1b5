"""The description of the images that a study stores, as plain JSON: the attribute `dataset` of its Optuna study."""

from __future__ import annotations

from typing import Any

from trainers.data.description import DatasetInfo


def dataset_record(dataset: DatasetInfo) -> dict[str, Any]:
    """The description of `dataset`, plain JSON (`nas.study.database.storage` lists the keys)."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_size": list(dataset.image_size),
        "in_chans": dataset.in_chans,
        "num_classes": dataset.num_classes,
        "class_names": list(dataset.class_names),
        "class_counts": {str(part): list(counts) for part, counts in dataset.class_counts.items()},
        "reading_version": dataset.reading_version,
        "skipped_count": dataset.skipped_count,
        "skipped": list(dataset.skipped),
        "passed_over": [files.to_dict() for files in dataset.passed_over],
        "files": {str(part): summary.to_dict() for part, summary in dataset.summaries.items()},
        "duplicates": None if dataset.duplicates is None else dataset.duplicates.to_dict(),
        **{str(part): count for part, count in dataset.counts.items()},
    }
