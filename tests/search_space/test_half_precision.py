"""Every mixer in half precision on a CPU, forward and backward, against float32.

In a process of its own: oneDNN's bfloat16 convolution of three axes corrupts the heap on some CPUs, and that must fail a test,
not end pytest. Those CPUs (AVX-512 without AMX) are imitated by oneDNN's limit of the instruction set; on a CPU that has nothing
above that limit the run without it is the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Relative errors of output and gradients, in the 2-norm. bfloat16 keeps 8 bits, float16 11; each layer rounds several times.
TOLERANCES = {"bfloat16": 0.06, "float16": 0.01}

LIMIT = "AVX512_CORE_BF16"
ABOVE_LIMIT = ("avx512_fp16", "amx_", "avx10")
"""How flags of /proc/cpuinfo begin that make oneDNN use more than `LIMIT`."""

PROGRAM = """
import copy, sys
import torch
from mixer_cases import VARIANT_CASES, Case
from search_space.mixers import MIXERS

torch.set_num_threads(1)
dtype, tolerance = getattr(torch, sys.argv[1]), float(sys.argv[2])
contexts = [Case(MIXERS["lambda"](context=r, u=u), (24, size))
            for r in (3, 7, 23) for u in (1, 4) for size in ((1, 1), (2, 3), (4, 4), (6, 6))]
wide = [Case(MIXERS[name](k=k), (24, size))
        for name, k in (("conv", 15), ("conv", 23), ("separable_conv", 23), ("pool", 15)) for size in ((2, 3), (6, 6))]

def results(module, x, direction, autocast):
    x = x.detach().requires_grad_()
    with torch.autocast("cpu", dtype=dtype, enabled=autocast):
        y = module(x)
    y.backward(direction.to(y.dtype))
    tensors = [("output", y), ("input", x.grad), *((name, p.grad) for name, p in module.named_parameters())]
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype, enabled=autocast):
        tensors.append(("output without gradients", module(x)))
    return {name: tensor.detach().float() for name, tensor in tensors if tensor.numel()}

for case in VARIANT_CASES + contexts + wide:
    for autocast in (False, True):
        print(case, "autocast" if autocast else "whole module", flush=True)
        module = case.build().eval()
        module.load_state_dict({name: t.to(dtype).to(t.dtype) for name, t in module.state_dict().items()})
        x, direction = (case.input(seed=seed).to(dtype).float() for seed in (1, 2))
        expected = results(copy.deepcopy(module), x, direction, False)
        lower = copy.deepcopy(module) if autocast else copy.deepcopy(module).to(dtype)
        found = results(lower, x if autocast else x.to(dtype), direction, autocast)
        assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
        for name, tensor in expected.items():
            assert found[name].isfinite().all(), name
            if tensor.numel() == 1:
                continue  # StarReLU's scalars: sums of all numbers, of any sign, have no digits to compare
            error = float((found[name] - tensor).norm() / tensor.norm().clamp(min=1e-3 * tensor.numel() ** 0.5))
            assert error < tolerance, (name, error)
print("done")
"""


def instruction_sets() -> list[str]:
    """The limits of instructions that make a difference on this machine."""
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text().split() if cpu.exists() else list(ABOVE_LIMIT)
    return [LIMIT, "DEFAULT"] if any(flag.startswith(ABOVE_LIMIT) for flag in flags) else [LIMIT]


@pytest.mark.parametrize("instructions", instruction_sets())
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_half_precision_is_finite_and_near_single_precision(dtype: str, instructions: str) -> None:
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""), str(Path(__file__).parents[2])]
    # glibc checks its heap, and fills freed memory with the bits of NaNs.
    limits = {"ONEDNN_MAX_CPU_ISA": instructions, "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "255"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, dtype, str(TOLERANCES[dtype])],
        env=os.environ | limits | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1:]
    assert (done.returncode, last) == (0, ["done"]), done.stderr[-1500:]
