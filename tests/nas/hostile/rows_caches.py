"""Files that mixfront keeps in the folder of a study and makes again: others have put something else in their place.

A command does without them, or says in one line what is wrong; what links lead to is never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bad_input import BadInput, Make
from makers import DEEP, DEEP_MAPPING, HUGE_INT, at, link, pipe, several, text

CACHES = (
    "operators.json", "reference.json", "columns.npz", "fidelity/trainings.jsonl", "manifest.json", "lock",
    "workers/a.json", "data/images.safetensors", "trials/00004/model.safetensors", "trials/00004/checkpoint.pt",
    "trials/00004/error.txt", "trials/00004/stacks.txt", "trials/00036/checkpoint.pt",
)  # fmt: skip
PICKLE = b"cos\nsystem\n(S'touch $CANARY'\ntR."
OTHERS_FILE = "others.txt"
"""The file, beside the study, that links lead to."""


def everywhere(make: Callable[[str], Make]) -> Make:
    """Makes the same in the place of every cache."""
    return several(text("not ours\n", OTHERS_FILE), *(make(f"done/{name}") for name in CACHES))


EVERYWHERE: Mapping[str, Make] = {
    "pipes": everywhere(pipe),
    "links to /dev/zero": everywhere(lambda name: link("/dev/zero", name)),
    "links to another file": everywhere(lambda name: link("../" * name.count("/") + OTHERS_FILE, name)),
    "links to themselves": everywhere(lambda name: link(Path(name).name, name)),
    "folders": everywhere(lambda name: at(name, Path.mkdir)),
    "empty": everywhere(lambda name: text("", name)),
    "deep lists": everywhere(lambda name: text(DEEP, name)),
    "deep mappings": everywhere(lambda name: text(DEEP_MAPPING, name)),
    "lists": everywhere(lambda name: text("[1, null]\n", name)),
    "mappings of texts": everywhere(lambda name: text('{"a": "x", "schema": "x", "files": {"../x": 1}}\n', name)),
    "numbers of 5,000 digits": everywhere(lambda name: text(f"[{HUGE_INT}]\n", name)),
    "NaN": everywhere(lambda name: text("NaN\n", name)),
    "bytes that are no UTF-8": everywhere(lambda name: text(b"\xff\xfe\x00\xd8" * 100, name)),
    "safetensors with a header of 10^12 bytes": everywhere(lambda name: text((10**12).to_bytes(8, "little") + b"{}", name)),
    "pickles": everywhere(lambda name: text(PICKLE, name)),
}  # fmt: skip
"""Kind -> makes it in the place of every cache."""
REPORTED = ("pipes", "links to /dev/zero", "deep lists", "mappings of texts")
"""Kinds that a report is written of, too, which takes a second."""
NO_FILES = ("pipes", "links to /dev/zero", "links to themselves", "folders")
"""Kinds of checkpoint that cannot be copied."""


def rows() -> Iterator[BadInput]:
    """Each command on each kind."""
    for kind, make in EVERYWHERE.items():
        yield BadInput(f"{kind}: status", "status done", ("trials",), make, 0, base="done")
        yield BadInput(f"{kind}: doctor", "doctor done", ("manifest",), make, 1, base="done", finds=True)
        code, expected = (
            (0, ()) if kind not in NO_FILES else (2 if kind == "links to themselves" else 1, ("checkpoint.pt",))
        )
        yield BadInput(
            f"{kind}: backup", "backup done copy.tar --checkpoints", expected, make, code, ("copy.tar",), base="done"
        )
        if kind in REPORTED:
            yield BadInput(f"{kind}: report", "report done --out page.html", (), make, 0, ("page.html",), base="done")


ROWS = (*rows(),)
