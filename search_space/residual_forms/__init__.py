"""The residual forms of a block, found by name; every module of this package registers its own.

With x the input of the block, m the token mixer and c the channel mixer:

- "pre_norm" (ViT, MetaFormer): `x = x + m(norm1 x); x = x + c(norm2 x)`
- "single" (GFNet): `x = x + c(norm2 m(norm1 x))`
- "convmixer" (ConvMixer): `x = x + norm1(act(m x)); x = norm2(act(c x))`
- "shiftvit" (ShiftViT): `x = m(x); x = x + c(norm2 x)`
- "plain" (clcNet): `x = norm1(m x); x = act(norm2(c x))`
- "bottleneck" (ResNet, BoTNet, LambdaResNet): `x = act(x + norm3 c2(act(norm2 m(act(norm1 c1 x)))))`, with c1 and c2 the two
  layers of the channel mixer, an `mlp`

A form is one file here, its equation described once as layers, and one in `modules/residual_forms/`; nothing else is edited.
"""

import importlib
import pkgutil

from search_space.residual_forms.base import RESIDUAL_FORMS, BlockLayers, ResidualForm

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["RESIDUAL_FORMS", "BlockLayers", "ResidualForm"]
