"""Which folders are called like a part of a data set.

A name is split into words (`Train_Set`, `trainset`, `TrainData` and `train-images` all give "train" and a word without a
meaning of its own; numbers mean nothing either, as in `test1` and `val2017`). It is the name of a part if the other words
mean nothing, or if they are the same in the names of another part: `seg_train` and `seg_test`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from trainers.data.types import Part

PART_WORDS: Mapping[str, Part] = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validating", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("eval", "evaluation"), "val"),  # as timm reads them
    **dict.fromkeys(("test", "testing", "tst", "te", "holdout"), "test"),
}
"""Words for the parts, in lower case."""
_NEUTRAL_WORDS = (
    "set sets data dataset datasets image images img imgs picture pictures pics photo photos folder dir split part "
    "subset samples files the"
)
NEUTRAL_WORDS = frozenset(_NEUTRAL_WORDS.split())
"""Words that say nothing about which part a folder is."""
_JOINED = re.compile(rf"({'|'.join(PART_WORDS)})({'|'.join(NEUTRAL_WORDS)})")


def parts_of(names: Iterable[str]) -> dict[str, Part]:
    """The part of each of the `names` of folders that is called like one."""
    groups: dict[tuple[str, ...], dict[str, Part]] = {}
    for name in names:
        words = _words(name)
        parts = [PART_WORDS[word] for word in words if word in PART_WORDS]
        if len(parts) == 1:
            others = tuple(word for word in words if word not in PART_WORDS and not _is_neutral(word))
            groups.setdefault(others, {})[name] = parts[0]
    if () in groups:
        return groups[()]
    whole = (group for group in groups.values() if len(set(group.values())) > 1 and "train" in group.values())
    return next(whole, {})


def is_neutral(name: str) -> bool:
    """Whether all words of the `name` of a folder say nothing, as in `images`."""
    return not name.isdecimal() and all(map(_is_neutral, _words(name)))


def _is_neutral(word: str) -> bool:
    return word in NEUTRAL_WORDS or word.isdecimal()


def _words(name: str) -> list[str]:
    """The words and numbers of a name, in lower case."""
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+|\d+", name.lower()):
        joined = _JOINED.fullmatch(word)
        words += joined.groups() if joined else [word]
    return words
