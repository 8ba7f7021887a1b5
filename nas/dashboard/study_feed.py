"""One study as the page reads it, kept up to date: its trials as columns, and for each browser what changed since it last asked.

Every part of the page has the version at which it last changed. A browser that has version 7 gets the rows and the parts that
changed later. One that reconnects brings the cursor that it had (`nas.study.reader.Cursor`), also to a server that was restarted:
trials that had ended by then never change, so that the rest is enough.

All methods block, and may be called from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas.analysis.columns import GrowingColumn, StudyColumns
from nas.dashboard.places import StudyPlace
from nas.dashboard.responses import json_bytes
from nas.dashboard.summary import summarise
from nas.errors import StudyError
from nas.page.document import PageState, document, encode_curves, encode_history, encode_rows, header
from nas.page.fields import fields_of
from nas.study.info import StudyInfo
from nas.study.reader import Cursor, StudyReader

MAX_CACHED_CHANGES = 8
"""Browsers that are equally far share a change; those that lag get one of their own."""


@dataclass(frozen=True)
class Position:
    """How far a browser is.

    Args:
        cursor: the trials it has, as text.
        version: of the feed, at its last change; None: it was that of another server, or the browser has just loaded the study.
    """

    cursor: str
    version: int | None = None
