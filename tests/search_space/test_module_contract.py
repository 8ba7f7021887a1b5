"""What users of torch may do with any `nn.Module`, checked for each registered mixer in each variant of a table.

Training on a CPU in float32 takes fast forms of several layers (`search_space/modules/eager.py`). All of this runs there too.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from mixer_cases import VARIANT_CASES, Case
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, parametrize, prune

from search_space.mixers import MIXERS, TokenMixerSpec

# torch's own rules of forward-mode derivatives are still scripted.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")

every_variant = pytest.mark.parametrize("case", VARIANT_CASES, ids=repr)
Gradients = dict[str, torch.Tensor]


def close(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-5, msg: str | None = None) -> None:
    scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    torch.testing.assert_close(found, expected, rtol=0, atol=atol * scale, msg=msg)


def gradients(module: nn.Module, x: torch.Tensor) -> Gradients:
    """The gradients of a scalar of the output by all parameters and the input."""
    module.zero_grad()
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    module(x).square().sum().backward()
    tensors = [*module.named_parameters(), ("the input", x)]
    return {name: tensor.grad for name, tensor in tensors if tensor.grad is not None}


def convolutions(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Inner layers with weights."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, kinds)]


# Memory formats and layouts


@every_variant
def test_channels_last_modules_and_inputs_give_the_same(case: Case) -> None:
    module, x = case.build(), case.input()
    expected, expected_gradients = module(x), gradients(module, x)
    module.to(memory_format=torch.channels_last)
    close(module(x.contiguous(memory_format=torch.channels_last)), expected)
    for name, gradient in gradients(module, x.contiguous(memory_format=torch.channels_last)).items():
        close(gradient, expected_gradients[name], atol=1e-4, msg=name)
    module.to(memory_format=torch.contiguous_format)
    close(module(x), expected)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        name: tuple(p.shape) for name, p in case.build().named_parameters()
    }


@every_variant
def test_expanded_sliced_and_transposed_inputs_give_the_same(case: Case) -> None:
    module, x = case.build().eval(), case.input()
    larger = torch.nn.functional.pad(x, (1, 2, 2, 1))
    inputs = {
        "a slice": (larger[:, :, 2:-1, 1:-2], x),
        "an expanded image": (x[:1].expand(3, -1, -1, -1), x[:1].repeat(3, 1, 1, 1)),
        "an expanded pixel": (x[:, :, :1, :1].expand(x.shape), x[:, :, :1, :1].repeat(1, 1, *case.size)),
        "batch last": (x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2), x),
    }
    for name, (view, plain) in inputs.items():
        close(module(view), module(plain), msg=name)
        found, expected = gradients(module, view.detach()), gradients(module, plain)
        for key, gradient in found.items():
            close(gradient, expected[key], atol=1e-4, msg=f"{name}: {key}")


@every_variant
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_empty_batches_give_empty_outputs(case: Case, training: bool) -> None:
    module, x = case.build().train(training), case.input()[:0].requires_grad_()
    y = module(x)
    assert y.shape == x.shape
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())
    with torch.no_grad():
        assert module.double()(x.double()).shape == x.shape


# Parameters that are replaced, pruned, normalised or frozen


@every_variant
def test_functional_call_takes_other_parameters(case: Case) -> None:
    module, other, x = case.build(), case.build(seed=3), case.input()
    parameters = {name: p.detach().clone().requires_grad_() for name, p in other.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in other.named_buffers()}
    y = functional_call(module, (parameters, buffers), (x,))
    close(y, other(x), atol=1e-6)
    expected = gradients(other, x)
    if parameters:
        y.square().sum().backward()
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        close(parameter.grad, expected[name], msg=name)
    assert all(p.grad is None for p in module.parameters())


@every_variant
def test_pruned_layers_use_the_masked_weights(case: Case) -> None:
    module, x = case.build(), case.input()
    layers = [layer for _, layer in convolutions(module)]
    for layer in layers:
        prune.random_unstructured(layer, "weight", amount=0.5)
    first, second = gradients(module, x), gradients(module, x)  # a training step and the next one
    y = module(x)
    for layer in layers:
        prune.remove(layer, "weight")
        assert bool((layer.weight == 0).any())
    close(module(x), y)
    expected = gradients(module, x)
    close(first["the input"], expected["the input"])
    assert first.keys() == second.keys()


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


NORMALISE: dict[str, Callable[[nn.Module], object]] = {
    "weight norm": lambda layer: parametrizations.weight_norm(layer),
    "spectral norm": lambda layer: parametrizations.spectral_norm(layer),
    "parametrisation": lambda layer: parametrize.register_parametrization(layer, "weight", Doubled()),
    "hook": lambda layer: torch.nn.utils.weight_norm(layer),
}


@every_variant
@pytest.mark.parametrize("kind", NORMALISE)
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning", "ignore:.*spectral_norm:FutureWarning")
def test_parametrised_weights_are_used(case: Case, kind: str) -> None:
    torch.manual_seed(0)
    module, x = case.build(), case.input()
    for _, layer in convolutions(module):
        NORMALISE[kind](layer)
    module.eval()(x)  # spectral norm takes a step of its power iteration in each pass of training
    plain = case.build().eval()
    weights = {name: layer.weight.detach() for name, layer in convolutions(module)}
    for name, layer in convolutions(plain):
        layer.weight.data.copy_(weights[name])  # type: ignore[union-attr, operator]
    close(module(x), plain(x))
    close(gradients(module, x)["the input"], gradients(plain, x)["the input"])
    module.train()
    assert all(gradient.isfinite().all() for gradient in gradients(module, x).values())


@every_variant
def test_frozen_parameters_get_no_gradient_and_the_others_the_same(case: Case) -> None:
    module, x = case.build(), case.input()
    expected = gradients(module, x)
    for name, _ in module.named_parameters():
        module.requires_grad_(False)
        module.get_parameter(name).requires_grad_()
        found = gradients(module, x)
        assert found.keys() == {name, "the input"}
        close(found[name], expected[name])
        module.zero_grad()
        y = module(x)  # the input needs no gradient
        y.square().sum().backward()
        close(module.get_parameter(name).grad, expected[name])
    module.requires_grad_(False)
    assert gradients(module, x).keys() == {"the input"}
    assert not module(x).requires_grad


# Hooks


@every_variant
def test_hooks_of_inner_layers_run_once_a_pass(case: Case) -> None:
    module, x = case.build(), case.input().requires_grad_()
    calls: list[tuple[str, str]] = []

    def note(kind: str, name: str) -> Callable[..., None]:
        return lambda *arguments, **options: calls.append((kind, name))

    layers = {name: layer for name, layer in module.named_modules() if not any(layer.children())}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(note("before", name))
        layer.register_forward_hook(note("after", name))
        layer.register_full_backward_hook(note("gradient", name))
    plain = case.build()
    y, expected = module(x), plain(x)
    close(y, expected)
    y.square().sum().backward()
    assert sorted(calls) == sorted((kind, name) for name in layers for kind in ("before", "after", "gradient"))
    for name, gradient in gradients(plain, x).items():
        found = x.grad if name == "the input" else module.get_parameter(name).grad
        assert found is not None
        close(found, gradient, msg=name)


@every_variant
def test_replaced_layers_are_called(case: Case) -> None:
    class Wrapper(nn.Module):
        """As adapters and quantised layers replace a layer: only its call is left."""

        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.wrapped, self.calls = layer, 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.wrapped(x)

    module, x = case.build(), case.input()
    expected = module(x)
    wrappers = []
    for name, layer in convolutions(module):
        if name:
            parent, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(parent), attribute, Wrapper(layer))
            wrappers.append(module.get_submodule(name))
    close(module(x), expected)
    assert [wrapper.calls for wrapper in wrappers] == [1] * len(wrappers)


# Transforms and higher derivatives


def stateless(module: nn.Module) -> tuple[dict[str, torch.Tensor], Callable[..., torch.Tensor]]:
    """Parameters, and `(parameters, x) -> a number`."""

    def value(parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return functional_call(module, parameters, (x,)).square().sum()

    return {name: p.detach() for name, p in module.named_parameters()}, value


@every_variant
def test_vmap_of_grad_gives_the_gradients_of_each_sample(case: Case) -> None:
    module, x = case.build().eval(), case.input(batch=3)
    parameters, value = stateless(module)
    apart = vmap(grad(lambda p, sample: value(p, sample[None])), in_dims=(None, 0))(parameters, x)
    for index, sample in enumerate(x):
        expected = gradients(module, sample[None])
        for name, found in apart.items():
            close(found[index], expected[name], atol=1e-4, msg=name)


@every_variant
def test_vmap_over_ensembles_of_parameters(case: Case) -> None:
    modules, x = [case.build(seed=seed).eval() for seed in (1, 2)], case.input()
    parameters, buffers = torch.func.stack_module_state(modules)
    with torch.no_grad():
        together = (
            vmap(lambda p, b: functional_call(modules[0], (p, b), (x,)))(parameters, buffers) if parameters else None
        )
        for index, module in enumerate(modules):
            if together is not None:
                close(together[index], module(x), atol=1e-4)


@every_variant
def test_forward_mode_agrees_with_reverse_mode(case: Case) -> None:
    module, x = case.build().eval(), case.input()
    parameters, value = stateless(module)
    generator = torch.Generator().manual_seed(4)
    steps = {name: torch.randn(p.shape, generator=generator) for name, p in parameters.items()}
    step = torch.randn(x.shape, generator=generator)
    _, forward = jvp(value, (parameters, x), (steps, step))
    expected = gradients(module, x)
    reverse = sum((expected[name] * steps[name]).sum() for name in steps) + (expected["the input"] * step).sum()
    assert float(forward) == pytest.approx(float(reverse), rel=1e-3, abs=1e-2)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, step)
        y, tangent = torch.autograd.forward_ad.unpack_dual(module(dual))
    _, expected_tangent = jvp(module, (x,), (step,))
    close(y, module(x))
    assert tangent is not None
    close(tangent, expected_tangent)


def of_corner(module: nn.Module, x: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """A corner of the output as a function of a change of a corner of the input, `(1, 2, 2, 2) -> (1, 3, 2, 2)`."""
    _, channels, height, width = x.shape

    def corner(change: torch.Tensor) -> torch.Tensor:
        padded = nn.functional.pad(change, (0, width - 2, 0, height - 2, 0, channels - 2))
        return module(x + padded)[:, :3, :2, :2]

    return corner


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_jacobians_agree_in_both_modes(case: Case, dtype: torch.dtype) -> None:
    module, x = case.build().to(dtype).eval(), case.input(batch=1).to(dtype)
    corner, change = of_corner(module, x), torch.zeros(1, 2, 2, 2, dtype=dtype)
    close(jacrev(corner)(change), jacfwd(corner)(change))
    _, pull_back = vjp(corner, change)
    close(pull_back(corner(change))[0], jacrev(lambda c: corner(c).square().sum() / 2)(change))


@every_variant
def test_second_derivatives_agree_with_differences(case: Case) -> None:
    module, x = case.build().double().eval(), case.input(batch=1).double()
    corner, change = of_corner(module, x), torch.full((1, 2, 2, 2), 0.1, dtype=torch.float64, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):  # torch's fused attention has no second derivative
        assert torch.autograd.gradgradcheck(corner, (change,), fast_mode=True)
    curvature = hessian(lambda c: corner(c).square().sum())(change.detach())
    assert curvature.isfinite().all()
    close(curvature.reshape(8, 8), curvature.reshape(8, 8).T)


@every_variant
def test_a_gradient_penalty_trains_in_single_precision(case: Case) -> None:
    penalties = {}
    for dtype in (torch.float32, torch.float64):
        module, x = case.build().to(dtype).eval(), case.input().to(dtype).requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            (slope,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
            slope.square().sum().backward()
        penalties[dtype] = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    for name, expected in penalties[torch.float64].items():
        close(penalties[torch.float32][name].double(), expected, atol=1e-4, msg=name)


# Graphs of operations


@every_variant
@pytest.mark.parametrize("gradient", [True, False], ids=["with gradients", "without"])
@pytest.mark.filterwarnings("ignore:.torch.jit.trace:FutureWarning", "ignore:.*:torch.jit.TracerWarning")
def test_traced_modules_give_the_same(case: Case, gradient: bool) -> None:
    module, x, other = case.build().eval().requires_grad_(gradient), case.input(), case.input(seed=2)
    expected, expected_gradients = module(other), gradients(module, other)
    graphs = [torch.jit.trace(module, x), torch.fx.symbolic_trace(nn.Sequential(module))]
    with torch.no_grad():
        graphs.append(torch.jit.trace(module, x))
    for graph in graphs:
        close(graph(other), expected)
        close(gradients(graph, other)["the input"], expected_gradients["the input"])


@every_variant
def test_exported_and_compiled_modules_give_the_same(case: Case) -> None:
    module, x, other = case.build().eval(), case.input(), case.input(seed=2)
    expected, expected_gradients = module(other), gradients(module, other)
    torch.compiler.reset()  # the limit of recompilations counts all modules of a class
    with torch.no_grad():
        exported = torch.export.export(module, (x,)).module()
    for graph in (exported, torch.compile(module, backend="eager", fullgraph=True)):
        close(graph(other), expected)
        close(gradients(graph, other)["the input"], expected_gradients["the input"])


# Copies, files, devices


@every_variant
def test_copies_are_equal_and_independent(case: Case) -> None:
    module, x = case.build(), case.input()
    expected = module(x)
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    loaded = case.build(seed=9)
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    assigned = case.build(seed=8)
    assigned.load_state_dict(module.state_dict(), assign=True)
    shared = copy.deepcopy(module)
    shared.share_memory()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded, assigned, shared):
        assert torch.equal(other(x), expected)
    changed = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(1)
    assert torch.equal(module(x), expected)


@every_variant
def test_modules_are_built_on_the_meta_device_and_filled_later(case: Case) -> None:
    plain, x = case.build(), case.input()
    with torch.device("meta"):
        module = case.build()
    assert all(tensor.is_meta for tensor in module.parameters())
    assert case.build().to("meta")(x.to("meta")).shape == x.shape
    assert module(x.to("meta")).shape == x.shape
    state = plain.state_dict()
    filled = module.to_empty(device="cpu")
    filled.load_state_dict(state)
    for name, buffer in plain.named_buffers():
        filled.get_buffer(name).copy_(buffer)  # those that the state dict leaves out
    assert torch.equal(filled(x), plain(x))


@every_variant
def test_passes_without_gradients_give_the_same(case: Case) -> None:
    module, x = case.build(), case.input()
    expected = copy.deepcopy(module)(x).detach()
    with torch.no_grad():
        close(copy.deepcopy(module)(x), expected)
    with torch.inference_mode():
        close(copy.deepcopy(module)(x), expected)
        made = case.build().eval()
    with torch.no_grad():
        close(made(x), module.eval()(x))  # parameters made in inference mode
    module.train().double().float()
    close(module(x), expected)


def test_every_registered_mixer_is_in_the_suite() -> None:
    assert {case.mixer.name for case in VARIANT_CASES if isinstance(case.mixer, TokenMixerSpec)} == set(MIXERS)
