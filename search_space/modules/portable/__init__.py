"""Networks without Fourier transforms, complex numbers and convolutions of three axes, for runtimes that lack them.

    from search_space.modules.portable import portable
    network = portable(build(presets.get("gfnet_ti")))

ONNX Runtime refuses some transforms, ExecuTorch all of them. Each such module is replaced by a portable form, which computes the
same for maps of one size; transforms become products of real matrices (`search_space.modules.dft`). A portable form is
registered for the class that it replaces:

    @replaces(GlobalFilter)
    class RealGlobalFilter(nn.Module):
        def __init__(self, module: GlobalFilter, channels: int, size: Size) -> None: ...

Every file of this package registers its own; a new mixer has its portable form here or in its own file.
"""

import importlib
import pkgutil

from search_space.modules.portable.registry import replaces
from search_space.modules.portable.rewriting import portable

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["portable", "replaces"]
