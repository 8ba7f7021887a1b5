"""The blocks: one file for each residual form, named as its description in `search_space/residual_forms/`.

A block is built from its stage and the shapes of its input and output; `block.py` holds what several of them need.
"""
