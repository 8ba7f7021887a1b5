"""Ready-made studies: the installed ones, a commented starter, and a study around a preset."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import yaml

from nas.errors import UnknownNameError, UsageError
from nas.formatting import printable, shell_path
from nas.study.layout import holds_study
from search_space import presets, yaml_text
from search_space.errors import SpaceError
from search_space.spaces.neighbourhood import neighbourhood
from trainers.files import atomic_write

DEFAULT_STUDY = "digits"

STARTER_PATCHES = (2, 4)
"""Pixels a side of the patches of the starter study; each is a multiple of the first."""

PRESET_HEAD = """\
# A study around the preset {preset}: its own mixers and others, its width and depth and half of them.
# Command:  nas search {file} --out {out}
# A list is a choice, a single value is fixed. Image size, channels and classes come from the data.

"""


def installed_studies() -> dict[str, Path]:
    """The studies that are installed with the package, by name."""
    folder = resources.files("nas").joinpath("studies")
    files = [Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {file.stem: file for file in sorted(files)}


def find_study(name: str | None) -> Path:
    """Find the file of a study: `name` is a path or the name of an installed study; None: the default study.

    Raises:
        UsageError: `name` is a folder without a study.
        UnknownNameError: `name` looks like that of an installed study, and there is neither such a study nor such a file.
    """
    if name is None:
        return installed_studies()[DEFAULT_STUDY]
    path = Path(name)
    is_given = path.is_file() or holds_study(path)
    if "/" in name or path.suffix or is_given:
        return path
    if name in installed_studies():  # also if there is a folder of images of this name
        return installed_studies()[name]
    if path.is_dir():
        hint = f"`nas search folder data.path={shlex.quote(name)}` searches on the images of a folder"
        raise UsageError(f"study: must be a YAML file, or the folder of a study, found the folder {name!r}; {hint}")
    raise UnknownNameError("study", "file or installed study", name, installed_studies())


def write_starter_study(file: Path, data: Path, image_size: int) -> None:
    """Write a commented study on the image folder `data`, with images of `image_size` pixels a side, to `file`.

    Raises:
        UsageError: the file already exists, or no patch of the starter divides the image size.
    """
    smallest_patch = STARTER_PATCHES[0]
    if image_size % smallest_patch:
        patches = " and ".join(map(str, STARTER_PATCHES))
        rule = f"must be a multiple of {smallest_patch} (the starter's patches have {patches} pixels a side)"
        raise UsageError(f"--image-size: {rule}, found {image_size}")
    text = resources.files("nas.study").joinpath("starter.yaml").read_text(encoding="utf-8")
    words = {
        "title": f"A study of {printable(data)}.",
        "data_comment": printable(data),
        "image_size": image_size,
        "patches": list(STARTER_PATCHES),
        **_command(file),
    }
    values = {"name": _scalar(printable(file.stem)), "data": _scalar(str(data))}
    _write_new(file, Template(text).substitute(words, **values))


def write_preset_study(file: Path, preset: str, data: Path, image_size: int | None) -> None:
    """Write a study around `preset` on the image folder `data` to `file`.

    Raises:
        UsageError: the file already exists, or the preset does not fit the image size.
    """
    architecture = presets.get(preset)
    side = architecture.image_size[0] if image_size is None else image_size
    try:
        space = neighbourhood(architecture.replace(image_size=(side, side)))
    except SpaceError as error:
        raise UsageError(f"--image-size: {preset} does not fit images of {side}x{side} pixels: {error}") from None
    study = {
        "name": printable(file.stem),
        "trials": 60,
        "data": {"source": "folder", "path": str(data), "image_size": side},
        "space": _collapse_choices(space.to_dict()),
        "train": {"epochs": 10, "batch_size": 64, "lr": 1e-3},
        "objectives": ["accuracy", "macs", "images_per_s"],
    }
    head = PRESET_HEAD.format(preset=preset, **_command(file))
    _write_new(file, head + yaml.dump(study, Dumper=_Dumper, sort_keys=False))


def _command(file: Path) -> dict[str, str]:
    """The words of the command in the comment of a study, which stays on its line."""
    return {"file": printable(shell_path(file)), "out": printable(shell_path(Path("runs") / file.stem))}


def _write_new(file: Path, text: str) -> None:
    if file.exists():
        raise UsageError(f"{file}: already exists; remove it or name another")
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _collapse_choices(space: dict[str, Any]) -> dict[str, Any]:
    """The space as a user would write it: single values instead of lists of one, without properties of the images."""

    def single(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: single(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return single(value[0]) if len(value) == 1 and not isinstance(value[0], list) else value
        return value

    derived_keys = ("image_size", "in_chans", "num_classes", "num_stages")
    plain = {key: single(value) for key, value in space.items() if key not in derived_keys and key != "stages"}
    return plain | {"stages": [single(stage) for stage in space["stages"]]}


def _scalar(text: str) -> str:
    """`text` as YAML on one line, in quotes where it needs them."""
    line = yaml.dump([text], Dumper=_Dumper, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return line.strip()[1:-1]


class _Dumper(yaml.SafeDumper):
    """Lists of plain values on one line, mappings below one another; quotes whatever YAML 1.1 or 1.2 reads as no text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
        first: yaml.SafeDumper.yaml_implicit_resolvers.get(first, [])
        + yaml_text.Loader.yaml_implicit_resolvers.get(first, [])
        for first in yaml.SafeDumper.yaml_implicit_resolvers.keys() | yaml_text.Loader.yaml_implicit_resolvers.keys()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        flat = all(not isinstance(item, dict) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=flat)
