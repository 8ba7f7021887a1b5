"""`architecture.yaml`: the architecture as text that people read; `Architecture.from_file` and `nas retrain` read it."""

from __future__ import annotations

from pathlib import Path

import yaml

from nas.formatting import printable, si
from nas.models.export.trained_model import TrainedModel
from search_space import cost

ARCHITECTURE_FILE = "architecture.yaml"
LINE_LENGTH = 160


def write_architecture(trained: TrainedModel, file: Path) -> None:
    """Write the architecture of `trained` with every option; a comment says where it is from."""
    architecture = trained.network.architecture
    spent = cost(architecture)
    plain = architecture.to_dict()
    stages = {"stages": plain.pop("stages")}  # last: they are the longest part
    origin = f"trial {trained.trial} of the study {printable(trained.study.name)}"
    lines = [
        f"# The architecture {architecture.id}, {origin}: {si(spent.macs, 'MACs')}, {si(spent.params, 'parameters')}.",
        "# Read by search_space.Architecture.from_file, and by `nas retrain`.",
    ]
    text = yaml.safe_dump({**plain, **stages}, sort_keys=False, default_flow_style=None, width=LINE_LENGTH)
    file.write_text("\n".join(lines) + f"\n{text}", encoding="utf-8")
