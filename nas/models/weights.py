"""The trained network of a trial, from the weights in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from nas.errors import StudyError
from nas.evaluation.evaluator import trained_network
from search_space.modules.network import Network


def load_trained(architecture: Mapping[str, Any], number: int, folder: Path) -> Network:
    """Load the trained network of trial `number`, whose files are in `folder`, in evaluation mode.

    Raises:
        StudyError: the weights are missing or damaged.
    """
    try:
        return trained_network(architecture, folder)
    except FileNotFoundError:
        raise StudyError(f"trial {number}: its weights are missing from {folder}") from None
    except (SafetensorError, RuntimeError) as error:
        raise StudyError(f"trial {number}: its weights in {folder} are damaged: {error}") from None
