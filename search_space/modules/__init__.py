"""The modules: what computes the mixers, channel mixers and macro structure. Everything here imports torch.

One file for each mixer, named as its description in `search_space/mixers/`. Maps are `(B, C, H, W)`.
"""
