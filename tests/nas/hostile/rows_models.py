"""Weights, decoded images and exported models that are hostile or broken, for `nas export`, which loads and writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from bad_input import BadInput, Make
from makers import DEEP, DEEP_MAPPING, HUGE_INT, at, cut, link, pipe, text
from safetensors import safe_open
from safetensors.numpy import save

TRIAL = 0
WEIGHTS = f"done/trials/{TRIAL:05d}/model.safetensors"
IMAGES = "done/data/digits-36827f85b39b71d8.safetensors"
Tensors = dict[str, Any]


def changed(change: Callable[[Tensors, dict[str, str]], object], name: str = WEIGHTS) -> Make:
    """Changes the tensors and the metadata of a file, which stays one of safetensors."""

    def make(folder: Path) -> None:
        with safe_open(folder / name, framework="numpy") as content:
            metadata = dict(content.metadata() or {})
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
        change(tensors, metadata)
        (folder / name).write_bytes(save(tensors, metadata))

    return make


def with_metadata(name: str = WEIGHTS, **values: str) -> Make:
    """Replaces values of the metadata."""
    return changed(lambda _, metadata: metadata.update(values), name)


def with_tensors(change: Callable[[str, Any], Any]) -> Make:
    """Replaces each tensor by what `change` makes of its name and itself."""

    def replace(tensors: Tensors, _: Mapping[str, str]) -> None:
        for name, tensor in list(tensors.items()):
            tensors[name] = change(name, tensor)

    return changed(replace)


def with_header(header: Mapping[str, Any] | str, length: int | None = None, name: str = WEIGHTS) -> Make:
    """A file with the `header` and four bytes of tensors, which may say another `length` of the header."""
    content = (header if isinstance(header, str) else json.dumps(header)).encode()
    return text((len(content) if length is None else length).to_bytes(8, "little") + content + bytes(4), name)


def tensor(start: int, end: int, shape: tuple[int, ...] = (1,), dtype: str = "F32") -> dict[str, Any]:
    """A tensor in a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


BROKEN: dict[str, Make] = {
    "cut": cut(500, WEIGHTS),
    "a header of 10^12 bytes": with_header({}, 10**12),
    "a header of 2^64 bytes": with_header({}, 2**64 - 1),
    "a header that is deep": with_header(DEEP_MAPPING),
    "overlapping tensors": with_header({"a": tensor(0, 4), "b": tensor(0, 4)}),
    "a tensor beyond the end": with_header({"a": tensor(0, 4_000, (1_000,))}),
    "negative offsets": with_header({"a": tensor(-4, 0)}),
    "a shape of 10^30": with_header({"a": tensor(0, 4, (10**15, 10**15))}),
    "an unknown dtype": with_header({"a": tensor(0, 4, dtype="OBJECT")}),
    "no tensors": with_header({}, None),
    "a pickle": text(b"cos\nsystem\n(S'touch $CANARY'\ntR.", WEIGHTS),
    "a pipe": pipe(WEIGHTS),
    "a link to /dev/zero": link("/dev/zero", WEIGHTS),
    "a link to itself": link("model.safetensors", WEIGHTS),
    "a folder": at(WEIGHTS, Path.mkdir),
    "missing": lambda folder: (folder / WEIGHTS).unlink(),
    "a record that is deep": with_metadata(record=DEEP),
    "a record of text": with_metadata(record='"x"'),
    "a record of 5,000 digits": with_metadata(record=HUGE_INT),
    "a record of lists": with_metadata(record='{"schema": [], "outcome": [1], "values": []}'),
    "an architecture that is deep": with_metadata(architecture=DEEP_MAPPING),
    "an architecture of width 10^9": with_metadata(architecture='{"stages": [{"mixer": "conv", "width": 1000000000}]}'),
    "another architecture": with_metadata(architecture='{"image_size": [8, 8], "in_chans": 1, "num_classes": 10, "stem": {"patch": 2}, "stages": [{"mixer": "pool", "width": 8}]}'),
    "metadata with an escape": with_metadata(architecture="\x1b[31m\n[red]"),
    "other shapes": with_tensors(lambda _, value: value.reshape(-1)[:1]),
    "transposed shapes": with_tensors(lambda _, value: value.reshape(value.shape[::-1])),
    "tensors of other names": changed(lambda tensors, _: tensors.update(evil=tensors.pop(sorted(tensors)[0]))),
    "one more tensor": changed(lambda tensors, _: tensors.update({"__class__\x1b[31m\n": np.zeros(1, np.float32)})),
    "tensors of NaN": with_tensors(lambda _, value: np.full_like(value, np.nan) if value.dtype.kind == "f" else value),
    "tensors of integers": with_tensors(lambda _, value: value.astype(np.int64)),
    "tensors of 64 bits and infinite": with_tensors(lambda _, value: np.full(value.shape, np.inf)),
}  # fmt: skip
"""Kind -> makes it of the weights of the trial."""

OTHER_IMAGES: dict[str, Make] = {
    "cut": cut(5_000, IMAGES),
    "a header of 10^12 bytes": with_header({}, 10**12, IMAGES),
    "a pipe": pipe(IMAGES),
    "a link to /dev/zero": link("/dev/zero", IMAGES),
    "deep metadata": with_metadata(IMAGES, dataset=DEEP_MAPPING),
    "metadata of a list": with_metadata(IMAGES, dataset="[1]"),
    "labels of 10^18": changed(lambda tensors, _: tensors["train.labels"].fill(10**18), IMAGES),
    "negative labels": changed(lambda tensors, _: tensors["train.labels"].fill(-1), IMAGES),
    "labels of floats": changed(lambda tensors, _: tensors.update({"train.labels": np.zeros(3)}), IMAGES),
    "images of three axes": changed(lambda tensors, _: tensors.update({"train.images": np.zeros((3, 8, 8), np.uint8)}), IMAGES),
}  # fmt: skip
"""Kind -> makes it of the decoded images."""

EXPORTS: dict[str, Make] = {
    "pipe": pipe("model/config.json"),
    "link to /dev/zero": link("/dev/zero", "model/config.json"),
    "link to itself": link("config.json", "model/config.json"),
    "folder": at("model/config.json", Path.mkdir),
    "deep": text(DEEP_MAPPING, "model/config.json"),
    "list": text("[1]", "model/config.json"),
    "of 5,000 digits": text(f'{{"architecture": {HUGE_INT}}}', "model/config.json"),
    "of another model": text('{"architecture": "resnet18"}', "model/config.json"),
}
"""Kind -> makes it of the `config.json` of an earlier export, which `nas export` would replace."""


def export(kind: str, make: Make, *expected: str, code: int = 1, written: tuple[str, ...] = ()) -> BadInput:
    """`nas export` of the trial."""
    return BadInput(kind, f"export done {TRIAL} --out model", expected, make, code, written, base="trained")


def over_links(folder: Path) -> None:
    """Makes an earlier export whose files are links to somebody else's."""
    text("not ours\n", "others.txt")(folder)
    text('{"architecture": "mixfront"}', "model/config.json")(folder)
    for name in ("model.safetensors", "class_map.txt"):
        link("../others.txt", f"model/{name}")(folder)


ROWS = (
    *(export(f"weights, {kind}", make, "trials/00000") for kind, make in BROKEN.items()),
    *(export(f"images, {kind}", make, "data", code=2) for kind, make in OTHER_IMAGES.items()),
    *(export(f"earlier export, {kind}", make, "model", code=2) for kind, make in EXPORTS.items()),
    export("earlier export of links", over_links, "model", code=0, written=("model",)),
)
