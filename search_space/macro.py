"""The names of what stands around the mixers: norms, activations, residual forms. No torch; modules in `layers/macro.py`.

Residual forms of a block, x its input, m the token mixer, c the channel mixer:

- "pre_norm" (ViT, MetaFormer): `x = x + m(norm1 x); x = x + c(norm2 x)`
- "single" (GFNet): `x = x + c(norm2 m(norm1 x))`
"""

from __future__ import annotations

from typing import Literal

Norm = Literal["batch", "layer", "group"]  # BN; LN over channels at each position; GN with one group over (C, H, W)
Activation = Literal["gelu", "relu", "silu"]
Residual = Literal["pre_norm", "single"]
Downsample = Literal[1, 2]
