"""The layout of a repository of the Hugging Face Hub: what timm's `push_to_hf_hub` uploads, and which files are large.

The upload is the user's own command; nothing here uses the network.
"""

from __future__ import annotations

from pathlib import Path

from nas.formatting import shell_path

ATTRIBUTES_FILE = ".gitattributes"
LARGE_FILES = ("*.safetensors", "*.onnx", "*.pt2", "*.pte")
"""Stored by Git LFS, as the Hub does it in repositories that it creates."""


def write_attributes(folder: Path) -> None:
    """Write `.gitattributes`."""
    lines = [f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE_FILES]
    (folder / ATTRIBUTES_FILE).write_text("".join(lines), encoding="utf-8")


def upload_command(name: str, folder: Path) -> str:
    """The command of `huggingface_hub` that uploads the model `name` in `folder`."""
    return f"hf upload USER/{name} {shell_path(folder)} ."
