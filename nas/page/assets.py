"""The page's document, script and style, put together from their files.

The script is classic JavaScript without a framework or a bundler: the files of `script/core` in the order of `CORE`, those of
`script/trial` (what the drawer of a trial consists of) and `script/panels` by name, and `script/main.js`. Each file keeps its own
names in a function and exports one name.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from string import Template

CORE = (
    "dom",
    "format",
    "columns",
    "expected",
    "pareto",
    "hypervolume",
    "state",
    "theme",
    "hover",
    "sketch",
    "plot",
    "source",
    "panels",
    "tab_row",
    "studies",
    "app",
)
"""The files of `script/core`: each uses those before it."""


@lru_cache(maxsize=1)
def script() -> str:
    """The page's script."""
    texts = [file.read_text(encoding="utf-8") for file in _script_files()]
    return '"use strict";\n' + "\n".join(texts)


@lru_cache(maxsize=1)
def style() -> str:
    """The page's style."""
    files = sorted(
        (file for file in _folder("style").iterdir() if file.name.endswith(".css")), key=lambda file: file.name
    )
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _script_files() -> Iterator[Traversable]:
    folder = _folder("script")
    yield from (folder / "core" / f"{name}.js" for name in CORE)
    for part in ("trial", "panels"):
        files = (file for file in (folder / part).iterdir() if file.name.endswith(".js"))
        yield from sorted(files, key=lambda file: file.name)
    yield folder / "main.js"


def _folder(name: str) -> Traversable:
    return resources.files("nas.page") / name


def inline_page(title: str, plotly: str, data: str) -> str:
    """The page as one file.

    Args:
        title: plain text.
        plotly: the text of plotly.js.
        data: JSON that is safe within a script element (`nas.html.script_json`).
    """
    from nas.html import offline_policy  # here, since it imports plotly, which a server of the page does not need

    own = script()
    return _shell(
        title=title,
        policy=f'<meta http-equiv="Content-Security-Policy" content="{offline_policy(plotly, own)}">\n',
        style=f"<style>{style()}</style>",
        scripts=(
            f'<script id="data" type="application/json">{data}</script>\n'
            f"<script>{plotly}</script>\n<script>{own}</script>"
        ),
    )


def linked_page(title: str, plotly: str, script_file: str, style_file: str) -> str:
    """The page whose scripts and style are files of a server.

    Args:
        title: plain text.
        plotly: the address of plotly.js.
        script_file: the address of `script`.
        style_file: the address of `style`.
    """
    preload = f'<link id="plotly" rel="preload" as="script" href="{html.escape(plotly)}">'
    return _shell(
        title=title,
        policy="",
        style=f'<link rel="stylesheet" href="{html.escape(style_file)}">\n{preload}',
        scripts=f'<script defer src="{html.escape(script_file)}"></script>',
    )


def _shell(title: str, policy: str, style: str, scripts: str) -> str:
    text = (resources.files("nas.page") / "page.html").read_text(encoding="utf-8")
    return Template(text).substitute(title=html.escape(title), policy=policy, style=style, scripts=scripts)
