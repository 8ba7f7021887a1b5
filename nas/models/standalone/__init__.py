"""One file of plain PyTorch that builds and loads exactly one network, for people who do not install this package.

`write_standalone` writes it; `classes.py` says how the code of a network is made from the sources of its layers.
"""

from nas.models.standalone.writing import MODEL_FILE, WEIGHTS_FILE, write_standalone

__all__ = ["MODEL_FILE", "WEIGHTS_FILE", "write_standalone"]
