"""The files of the page: plotly.js, the page's script and its style, each under a name with its hash.

Names come from this table, never from a path: a request reads no file. A browser keeps a file for ever, since another content has
another name. Files are compressed once.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock, Thread

from nas.errors import StudyError
from nas.page import assets

HASH_CHARS = 16
COMPRESSION_LEVEL = 6
JAVASCRIPT = "text/javascript; charset=utf-8"
CSS = "text/css; charset=utf-8"


@dataclass(frozen=True)
class StaticFile:
    """A file that the page loads.

    Args:
        stem: of its name, such as "plotly".
        suffix: of its name, such as "js".
        media_type: its content type.
        content: its bytes.
    """

    stem: str
    suffix: str
    media_type: str
    content: bytes = field(repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @cached_property
    def name(self) -> str:
        """`STEM-HASH.SUFFIX`."""
        return f"{self.stem}-{self.etag}.{self.suffix}"

    @cached_property
    def etag(self) -> str:
        """The hash of its content."""
        return hashlib.sha256(self.content).hexdigest()[:HASH_CHARS]

    def compressed(self) -> bytes:
        """Its content with gzip, made once; a tenth of a second for plotly.js."""
        with self._lock:
            return self._compressed

    @cached_property
    def _compressed(self) -> bytes:
        return gzip.compress(self.content, COMPRESSION_LEVEL, mtime=0)


@dataclass(frozen=True)
class StaticFiles:
    """The table of files, and the page that names them."""

    files: Mapping[str, StaticFile]
    page: bytes


@lru_cache(maxsize=1)
def load_static_files(title: str) -> StaticFiles:
    """The files of the installed packages, read once in a process.

    Args:
        title: of the page, plain text.
    """
    plotly = StaticFile("plotly", "js", JAVASCRIPT, _plotly_script())
    script = StaticFile("page", "js", JAVASCRIPT, assets.script().encode())
    style = StaticFile("page", "css", CSS, assets.style().encode())
    addresses = (f"/static/{file.name}" for file in (plotly, script, style))
    page = assets.linked_page(title, *addresses)
    return StaticFiles({file.name: file for file in (plotly, script, style)}, page.encode())


def compress_in_background(files: StaticFiles) -> None:
    """Compress `files` while the studies are read, before a browser asks for them."""

    def compress() -> None:
        for file in files.files.values():
            file.compressed()

    Thread(target=compress, daemon=True).start()


def _plotly_script() -> bytes:
    """plotly.js of the installed plotly, which is not imported for it."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise StudyError("plotly: is not installed; `pip install plotly`")
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()
