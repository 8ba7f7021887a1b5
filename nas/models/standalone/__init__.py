"""One file of plain PyTorch that builds and loads exactly one network, for people who do not install this package.

`writing` writes and runs it. `document` makes its text, with the words of `description` and the code of `template`, which is the
same for every network. `classes` makes the code of a network from the sources of its layers, by the means of `syntax`.
"""

from nas.models.standalone.writing import MODEL_FILE, WEIGHTS_FILE, write_standalone

__all__ = ["MODEL_FILE", "WEIGHTS_FILE", "write_standalone"]
