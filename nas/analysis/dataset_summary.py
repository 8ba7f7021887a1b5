"""What a data set was taken for, in words: images, splits, classes, files, what was passed over, equal images.

The input is the description that a study stores (`nas.study.dataset`). Descriptions of earlier versions lack some keys; what
they do not say is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nas.formatting import count, dimensions, printable
from trainers.data.duplicates import Duplicates
from trainers.data.types import PARTS, ImageSummary, Part, PassedOver

MAX_LISTED_CLASSES = 6
"""Of more classes, the three largest and the smallest are named."""
MAX_LISTED_FILES = 3

SPLIT_NAMES: Mapping[str, str] = {"train": "training", "val": "validation", "test": "test"}


class SummaryRow(NamedTuple):
    """A line of a summary."""

    label: str
    text: str


@dataclass(frozen=True)
class ClassRow:
    """The images of a class in each split.

    Args:
        name: of the class.
        counts: number of its images in the training, validation and test split.
        share: its share of all images, 0 to 1.
    """

    name: str
    counts: tuple[int, ...]
    share: float


@dataclass(frozen=True)
class Majority:
    """The most frequent class of a split.

    Args:
        class_name: its name.
        count: number of its images.
        total: number of images of the split.
    """

    class_name: str
    count: int
    total: int

    @property
    def share(self) -> float:
        """The accuracy of always answering this class."""
        return self.count / self.total


def summary_rows(dataset: Mapping[str, Any]) -> list[SummaryRow]:
    """The summary of `dataset` in lines, each with a label of one or two words."""
    rows = [SummaryRow("images", _images_text(dataset)), SummaryRow("classes", _classes_text(dataset))]
    majority = find_majority(dataset)
    if majority is not None:
        share = f"{100 * majority.share:.1f} %"
        rows.append(
            SummaryRow(
                "baseline", f"always answering {_quoted(majority.class_name)} is right for {share} of validation images"
            )
        )
    rows += [
        SummaryRow(f"{SPLIT_NAMES[part]} files", _files_text(summary))
        for part, summary in file_summaries(dataset).items()
        if summary.formats  # a source without files, such as digits, has none
    ]
    rows += [SummaryRow("passed over", _passed_over_text(files)) for files in passed_over(dataset)]
    if dataset.get("skipped_count"):
        rows.append(SummaryRow("broken", _broken_text(dataset["skipped_count"], dataset.get("skipped") or ())))
    copies = _copies_text(dataset)
    return rows + ([SummaryRow("equal images", copies)] if copies else [])


def leak_warnings(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each leak between splits, and for equal images of several classes."""
    duplicates = _duplicates(dataset)
    counts = {part: dataset[part] for part in PARTS if isinstance(dataset.get(part), int)}
    return () if duplicates is None or len(counts) < len(PARTS) else duplicates.warnings(counts)


def class_rows(dataset: Mapping[str, Any]) -> list[ClassRow]:
    """The images of each class, in the order of labels; empty if the description does not say."""
    by_part, names = dataset.get("class_counts") or {}, dataset.get("class_names") or ()
    if not by_part or any(len(by_part.get(part, ())) != len(names) for part in PARTS):
        return []
    total = sum(map(sum, by_part.values())) or 1
    columns = zip(*(by_part[part] for part in PARTS), strict=True)
    return [
        ClassRow(str(name), tuple(counts), sum(counts) / total) for name, counts in zip(names, columns, strict=True)
    ]


def find_majority(dataset: Mapping[str, Any], part: Part = "val") -> Majority | None:
    """The most frequent class of a split; None if the description does not say."""
    counts = (dataset.get("class_counts") or {}).get(part) or []
    names = dataset.get("class_names") or []
    if not sum(counts) or len(counts) != len(names):
        return None
    return Majority(str(names[counts.index(max(counts))]), max(counts), sum(counts))


def file_summaries(dataset: Mapping[str, Any]) -> dict[Part, ImageSummary]:
    """What the images of each part of the source are in their files; empty if the description does not say."""
    stored = dataset.get("files") or {}
    return {part: ImageSummary.from_dict(stored[part]) for part in PARTS if part in stored}


def passed_over(dataset: Mapping[str, Any]) -> list[PassedOver]:
    """The files and folders that were not read."""
    return [PassedOver.from_dict(files) for files in dataset.get("passed_over") or ()]


def _images_text(dataset: Mapping[str, Any]) -> str:
    """The number of images, their size, and the splits."""
    splits = {part: dataset[part] for part in PARTS if isinstance(dataset.get(part), int)}
    listed = ", ".join(f"{number:,} {SPLIT_NAMES[part]}" for part, number in splits.items()) or "split not recorded"
    height, width = dataset.get("image_size") or ("?", "?")
    return f"{sum(splits.values()):,} of {dimensions(height, width, dataset.get('in_chans', '?'))}: {listed}"


def _classes_text(dataset: Mapping[str, Any]) -> str:
    """The number of classes, and the largest and smallest of them."""
    number = str(dataset.get("num_classes", "?"))
    rows = sorted(class_rows(dataset), key=lambda row: -row.share)
    if not rows:
        return number
    texts = [f"{_quoted(row.name)} {sum(row.counts):,} ({100 * row.share:.1f} %)" for row in rows]
    if len(texts) > MAX_LISTED_CLASSES:
        return f"{number}: {', '.join(texts[:3])}, ... {texts[-1]}"
    return f"{number}: {', '.join(texts)}"


def _files_text(summary: ImageSummary) -> str:
    """Formats, sizes, modes, and what is special about some of them."""
    formats = ", ".join(f"{number:,} {name}" for name, number in _by_number(summary.formats)) or f"{summary.count:,}"
    parts = [
        formats,
        _sizes_text(summary),
        ", ".join(f"{name} {number:,}" for name, number in _by_number(summary.modes)),
    ]
    special = (
        (summary.transparent, "with transparency"),
        (summary.multi_frame, "of several frames, of which the first is read"),
        (summary.uniform, "of a single colour"),
    )
    parts += [f"{number:,} {words}" for number, words in special if number]
    if summary.value_range is not None:
        low, high = summary.value_range
        parts.append(f"values {low:g} to {high:g} become 0 to 255")
    return "; ".join(filter(None, parts))


def _sizes_text(summary: ImageSummary) -> str:
    """Width and height in pixels: "48 x 48 pixels" if all images have one size, else their ranges and medians."""
    if len({*summary.width}) == len({*summary.height}) == 1:
        return f"{dimensions(summary.width[0], summary.height[0])} pixels"
    (w_least, w_median, w_most), (h_least, h_median, h_most) = summary.width, summary.height
    return f"{dimensions(w_least, h_least)} to {dimensions(w_most, h_most)} pixels (median {dimensions(w_median, h_median)})"


def _passed_over_text(files: PassedOver) -> str:
    where = "" if files.part is None else f" in {SPLIT_NAMES[files.part]}"
    return f"{files.count:,}{where}: {files.reason} ({_names(files.names, files.count)})"


def _broken_text(number: int, lines: Sequence[str]) -> str:
    return f"{count(number, 'image')} left out: {_names(lines, number, separator='; ')}"


def _copies_text(dataset: Mapping[str, Any]) -> str:
    """The numbers of equal images; empty if there are none, or the description does not say."""
    duplicates = _duplicates(dataset)
    if duplicates is None:
        return ""
    parts = [f"{copies.count:,} within {SPLIT_NAMES[part]}" for part, copies in duplicates.within.items()]
    for (first, second), copies in duplicates.across.items():
        parts.append(f"{copies.count:,} of {SPLIT_NAMES[second]} also in {SPLIT_NAMES[first]}")
    if duplicates.conflicting.count:
        parts.append(f"{duplicates.conflicting.count:,} in several classes")
    return ", ".join(parts)


def _duplicates(dataset: Mapping[str, Any]) -> Duplicates | None:
    stored = dataset.get("duplicates")
    return Duplicates.from_dict(stored) if stored else None


def _names(names: Sequence[str], number: int, separator: str = ", ") -> str:
    """The first of `number` names."""
    shown = separator.join(printable(name) for name in names[:MAX_LISTED_FILES])
    return shown + (f"{separator}..." if number > min(len(names), MAX_LISTED_FILES) else "")


def _quoted(name: str) -> str:
    """The name of a class, which may be a number or several words, in quotes."""
    return f"'{printable(name)}'"


def _by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
