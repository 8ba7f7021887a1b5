"""Types of fields that several descriptions share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

NormName = Literal["batch", "layer", "group"]  # BN; LN over channels at each position; GN with one group over (C, H, W)
Activation = Literal["gelu", "relu", "silu"]
Begin = Literal["transition", "block"]
Stride = Literal[1, 2]
Positive = Annotated[int, Field(ge=1)]
