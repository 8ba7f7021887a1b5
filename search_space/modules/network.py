"""The `nn.Module` of an architecture, with the interface of timm's models.

It has every member that timm's tools expect of a model, with timm's meaning, and imports no timm, which would take workers
seconds. The factory (`timm.create_model`) is in `timm_support/entrypoint.py`.

Feature i is the output of stage i where there are several stages, and of block i where there is one, as in timm's pyramids
and isotropic models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import nn

from search_space.architecture import Architecture
from search_space.head import HeadSpec
from search_space.modules import features, input_size
from search_space.modules.block import build_block
from search_space.modules.downsampling import transition_of
from search_space.modules.layers import DropPath, build_norm
from search_space.modules.stage import NetworkStage
from search_space.modules.stem import Stem
from search_space.shapes import Size


class Network(nn.Module):
    """The network of an architecture, `(B, in_chans, H, W) -> (B, num_classes)`.

    Args:
        architecture: the description.
        global_pool: "avg", or "" for the map itself (then without classes).
        drop_rate: dropout before the linear layer, in training.
        drop_path_rate: stochastic depth of the last block's residual branches, in training; rises linearly from zero at
            the first block.

    Attributes:
        architecture: the description of the network as it is, also after `set_input_size`, `prune_intermediate_layers` and
            `reset_classifier` (without classes: with those that it had).
        image_size: (height, width) of its images; where parameters are bound to the map, change it by `set_input_size`.
        num_classes, in_chans, num_features, head_hidden_size, feature_info, drop_rate: as in timm's models.

    Raises:
        ValueError: a rate outside [0, 1), or stochastic depth without residual branches; classes without pooling.
    """

    _factory_args: dict[str, Any]

    def __init__(
        self, architecture: Architecture, global_pool: str = "avg", drop_rate: float = 0.0, drop_path_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.architecture = self._built = architecture  # `_built`: at the image size for which its mixers were built
        self._by_block = features.by_block(architecture)
        self.image_size = architecture.image_size
        self.in_chans = architecture.in_chans
        last = architecture.stages[-1]
        self.num_features = self.head_hidden_size = last.width
        self.stem = Stem(architecture.stem, architecture.in_chans, *architecture.stage_inputs[0])
        self.stages = nn.Sequential()
        for stage, stage_input in zip(architecture.stages, architecture.stage_inputs, strict=True):
            shapes = stage.block_shapes(stage_input)
            blocks = nn.Sequential(*(build_block(stage, shape, index) for index, shape in enumerate(shapes)))
            self.stages.append(NetworkStage(transition_of(stage, stage_input.width), blocks))
        self.feature_info = features.feature_info(architecture)
        place, kind = architecture.head.norm, architecture.head.kind or last.norm
        self.norm = build_norm(kind, last.width) if place == "before" else nn.Identity()
        self.fc_norm = build_norm(kind, last.width) if place == "after" else nn.Identity()
        self.drop_rate = _check_rate("drop_rate", drop_rate)
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(architecture.num_classes, global_pool)
        self._set_drop_path(_check_rate("drop_path_rate", drop_path_rate))
        self._describe()

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, in_chans, H, W) -> (B, C, h, w)`, with the head's norm if it comes before the pooling."""
        return self.norm(self.stages(self._embed(x)))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """`(B, C, h, w) -> (B, num_classes)`; with `pre_logits`, the input of the linear layer."""
        if self.global_pool == "avg":
            x = self.fc_norm(x.mean(dim=(2, 3), keepdim=True)).flatten(1)
        else:
            x = self.fc_norm(x)
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(B, in_chans, H, W) -> (B, num_classes)`."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """`(B, in_chans, H, W)` -> the output of `forward_features`, and features `(B, C_i, H_i, W_i)` in the network's order.

        Args:
            x: images.
            indices: which features: the last n for a number, all for None; negative indices count from the end.
            norm: apply the final norm to the features of the last stage (others have another width).
            stop_early: stop after the last feature asked for; the first result is then that feature.
            output_fmt: "NCHW".
            intermediates_only: return only the features.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt: must be 'NCHW', found {output_fmt!r}")
        selected = features.feature_indices(indices, len(self.feature_info))
        maps: list[torch.Tensor] = []
        for index, y in enumerate(self._maps(x)):
            last, x = index + 1 == len(self.feature_info), y
            if index in selected:
                maps.append(self.norm(y) if norm and (last or self._by_block) else y)
            if stop_early and index == selected[-1]:
                break
        if intermediates_only:
            return maps
        return self.norm(x) if last or self._by_block else x, maps

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the layers that the features `indices` do not need; returns the indices, counted from the front, in order.

        Where the last stage is removed, so are the norm and the head. What stays are the same modules, with their hooks.
        """
        selected = features.feature_indices(indices, len(self.feature_info))
        end = selected[-1] + 1
        ends_narrower = end < len(self.feature_info) and not self._by_block
        stages = self.architecture.stages
        if self._by_block:
            del self._stages[0].blocks[end:]
            stages = (self._built.stages[0].replace(depth=end),)
        else:
            del self.stages[end:]
            stages = self._built.stages[:end]
        self.feature_info = self.feature_info[:end]
        if prune_norm or ends_narrower:
            self.norm = nn.Identity().train(self.training)
        if prune_head or ends_narrower:
            self.num_features = self.head_hidden_size = self.feature_info[-1]["num_chs"]
            self.fc_norm = nn.Identity().train(self.training)
            self.reset_classifier(0, "")
        has_norm = not (isinstance(self.norm, nn.Identity) and isinstance(self.fc_norm, nn.Identity))
        self._describe(stages=stages, head=self._built.head if has_norm else HeadSpec(norm=None))
        return selected

    def get_classifier(self) -> nn.Module:
        """The linear layer of the classes."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new linear layer for `num_classes` (0: none), and another pooling ("avg", or "" for the map itself).

        The layer is trained, whatever is frozen, and in the training mode of the network, on the device and in the dtype of its
        first convolution.
        """
        pool = getattr(self, "global_pool", "avg") if global_pool is None else global_pool
        if pool not in ("avg", ""):
            raise ValueError(f"global_pool: must be 'avg' or '', found {pool!r}")
        if num_classes and not pool:
            raise ValueError(f"num_classes: must be 0 where global_pool is '', found {num_classes}")
        self.global_pool, self.num_classes = pool, num_classes
        weight = self.stem.proj.weight
        head = (
            nn.Linear(self.num_features, num_classes, device=weight.device, dtype=weight.dtype)
            if num_classes
            else nn.Identity()
        )
        self.head = head.train(self.training)
        if num_classes not in (0, self._built.num_classes):
            self._describe(num_classes=num_classes)

    def set_input_size(self, img_size: int | Sequence[int]) -> None:
        """Take images of another size from now on. Parameters that are bound to the map are interpolated, as new parameters.

        They have the device, dtype, memory format and `requires_grad` of those that they replace; all other parameters, all
        modules and their hooks stay. As with timm's models, an optimizer must be made afterwards: one that exists refers to the
        parameters that were replaced.

        Raises:
            SpaceError: the architecture does not fit the size, or a mixer cannot be interpolated; nothing is changed then.
            ValueError: a parameter that must change is parametrized or pruned; nothing is changed then.
        """
        size = img_size if isinstance(img_size, int) else tuple(img_size)
        after = self._built.replace(image_size=size)
        input_size.change_input_size(self.stem, self._stages, self.architecture, after)
        self.image_size = after.image_size
        self._describe()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory: recompute each block in the backward pass. Outputs and gradients are the same."""
        for stage in self._stages:
            stage.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns of parameter names, from the stem on: groups of blocks, or of whole stages; the head is the rest."""
        blocks = [(r"^stages\.(\d+)\.transition", (0,)), (r"^stages\.(\d+)\.blocks\.(\d+)", None)]
        stages = [(r"^stages\.(\d+)", None)]
        return {
            "stem": r"^stem",
            "blocks": [*(stages if coarse else blocks), (r"^norm", (99999,))],
        }  # 99999: with the last group

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay should spare: embeddings and biases of positions."""
        ends = ("pos_embed", "relative_position_bias_table")
        return {name for name, _ in self.named_parameters() if name.endswith(ends)}

    @property
    def _model_args(self) -> dict[str, Any]:
        """The arguments that timm's factory sets and its exporter writes; `architecture` is that of the network as it is."""
        return {**self._factory_args, "architecture": self._built.to_dict()}

    @_model_args.setter
    def _model_args(self, arguments: dict[str, Any]) -> None:
        self._factory_args = arguments

    @property
    def _stages(self) -> list[NetworkStage]:
        return cast(list[NetworkStage], list(self.stages))

    def _describe(self, **changes: Any) -> None:
        """Let the description follow a change of the network: `changes` to its fields, and the image size."""
        self._built = self._built.replace(**changes) if changes else self._built
        is_built_size = self.image_size == self._built.image_size
        self.architecture = self._built if is_built_size else self._built.replace(image_size=self.image_size)
        self.bound_by = input_size.bound_by(self.architecture)
        # timm's factory and exporter read these from the model rather than from its configuration.
        self._traits = {"img_size": self.image_size, "fixed_input_size": bool(self.bound_by), "first_conv": "stem.proj"}

    def _embed(self, x: torch.Tensor) -> torch.Tensor:
        if self.bound_by:
            check_size(x, self.image_size, self.bound_by)
        return self.stem(x)

    def _maps(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """The features that `feature_info` lists, in order."""
        x = self._embed(x)
        for stage in self._stages:
            if self._by_block:
                yield from stage.maps(x)
            else:
                x = stage(x)
                yield x

    def _set_drop_path(self, rate: float) -> None:
        """Rates that rise linearly over the blocks, from zero to `rate`."""
        blocks = [block for stage in self._stages for block in stage.blocks]
        paths = [[path for path in block.modules() if isinstance(path, DropPath)] for block in blocks]
        if rate and not any(paths):
            raise ValueError(f"drop_path_rate: must be 0 where no block has a residual branch, found {rate}")
        for index, paths_of_block in enumerate(paths):
            for path in paths_of_block:
                path.rate = rate * index / max(len(blocks) - 1, 1)


def build(architecture: Architecture) -> Network:
    """The module that `architecture` describes, with fresh random weights from torch's global generator.

    `(B, in_chans, H, W) -> (B, num_classes)`; every parameter gets a gradient.
    """
    return Network(architecture)


@torch.fx.wrap  # one node of a traced graph: comparisons of shapes cannot be traced
def check_size(x: torch.Tensor, size: Size, place: str) -> None:
    """Raise `ValueError` unless the images `x` `(B, in_chans, H, W)` have `size`, to which `place` binds the network."""
    if tuple(x.shape[-2:]) != size:
        found, bound = (f"{height}x{width}" for height, width in (x.shape[-2:], size))
        raise ValueError(
            f"images: must be {bound}, to which {place} binds the network (see set_input_size), found {found}"
        )


def _check_rate(name: str, rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"{name}: must be at least 0 and below 1, found {rate}")
    return rate
