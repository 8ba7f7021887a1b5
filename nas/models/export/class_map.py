"""`class_map.txt`: the names of the classes, one a line, in the order of the outputs of the model.

With it timm's readers give an image the label that the model was trained with, also where timm itself would order the classes
otherwise:

    dataset = timm.data.create_dataset("", root="PHOTOS", class_map="FOLDER/class_map.txt")
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

CLASS_MAP_FILE = "class_map.txt"


def write_class_map(class_names: Sequence[str], file: Path) -> bool:
    """Write the names of the classes as timm reads them (`timm.data.readers.class_map.load_class_map`).

    timm strips each line and takes its number for the label. Names that this would change (with spaces at their ends or
    with line ends) make it impossible to write the file.

    Returns:
        Whether the file was written.
    """
    text = "".join(f"{name}\n" for name in class_names)
    if [line.strip() for line in io.StringIO(text, newline=None)] != list(class_names):
        return False
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
    return True
