"""Standard streams that take any text: characters that their encoding lacks are replaced, and closed streams are opened.

The encoding is that of the locale (`LC_ALL=C` with `PYTHONUTF8=0`, `en_US.ISO-8859-1`) or of PYTHONIOENCODING. A command that
has done its work must not fail when it prints a block character.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys

from nas.formatting import printable
from nas.logs import PACKAGES

ERRORS = "mixfront"
"""The name of the error handler of `replace_characters`."""

REPLACEMENTS = {
    ord(character): replacement
    for characters, replacement in (
        ("→≥", ">"), ("←≤", "<"), ("×", "x"), ("µμ", "u"), ("…·•", "."), ("–—−", "-"), ("≈", "~"),  # noqa: RUF001
        ("“”„", '"'), ("‘’", "'"), ("\u00a0\u2009\u202f", " "),  # noqa: RUF001
        ("▁", "_"), ("▂", "."), ("▃", ","), ("▄", "-"), ("▅", "="), ("▆", "+"), ("▇", "*"), ("█", "#"),
        ("─━╴╶╸╺", "-"), ("═╞╡╪", "="), ("│┃║╵╷╹╻", "|"), ("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    )
    for character in characters
}  # fmt: skip
"""Each character by one of ASCII, so that tables stay aligned."""


def replace_characters(error: UnicodeError) -> tuple[str, int]:
    """The error handler: characters of `REPLACEMENTS` by those of ASCII, all others by `?`.

    Raises:
        UnicodeError: text is decoded, not encoded.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(REPLACEMENTS)
    return "".join(character if character.isascii() else "?" for character in text), error.end


def repair_streams() -> None:
    """Open closed standard streams on the null device, and let the others take characters that their encoding lacks.

    A closed descriptor would be given to the next file that is opened, such as the database of a study, and output of
    libraries would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 (open as long as the process)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    codecs.register_error(ERRORS, replace_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=ERRORS)


class LastResort(logging.Handler):
    """Shows a warning or an error that is logged as the command shows its own, in one line: `nas: warning: ...`.

    As `logging.lastResort` it is used where no log messages are asked for. Messages of other libraries keep their form.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print `record` to standard error, whatever that is now."""
        message = self.format(record)
        if record.name.partition(".")[0] in PACKAGES:
            message = f"nas: {record.levelname.lower()}: {printable(message)}"
        print(message, file=sys.stderr)
