"""The modules: what the descriptions describe, as `nn.Module`s. Everything here imports torch.

One file for each mixer, named as its description in `search_space/mixers/`; the blocks in `residual_forms/`. A module registers
itself for its description with `@builds` (builders.py). Feature maps are `(B, C, H, W)`.
"""
