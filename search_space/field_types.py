"""Types of fields that several descriptions share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

NormName = Literal["batch", "layer", "group"]  # BN; LN over channels at each position; GN with one group over (C, H, W)
Activation = Literal["gelu", "relu", "silu"]
Begin = Literal["transition", "block"]
Stride = Literal[1, 2]
MAX_NUMBER = 10_000_000
"""Of any integer in a description, such as the size of a kernel; far more than any network has."""
MAX_FACTOR = 1e10
"""Of any other number, such as an expansion."""
MAX_DEPTH = 10_000
"""Of the blocks of a stage: some computations visit each."""
MAX_STAGES = 256
MAX_WIDTH = 8_192
"""Channels of a stage; checks of its channel graph take its square of bytes."""
Positive = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Depth = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
