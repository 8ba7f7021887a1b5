"""The token of a Ray cluster, and the environment in which Ray is imported. Ray reads both when it is imported.

Since Ray 2.59 clusters authenticate with a token. `ray start` finds it by itself, `ray.init("HOST:PORT")` does not: without
`RAY_AUTH_MODE` it connects without a token and fails after half a minute.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from trainers.input_files import read_input

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
DEFAULT_FILE = Path(".ray", "auth_token")
"""Below the home folder."""
MAX_TOKEN_BYTES = 1 << 20


def find_token(environment: Mapping[str, str]) -> str | None:
    """The token that Ray would use, in Ray's order; None if there is none.

    Args:
        environment: the variables of the process; `RAY_AUTH_TOKEN` holds a token, `RAY_AUTH_TOKEN_PATH` names its file.
    """
    if environment.get(TOKEN):
        return environment[TOKEN]
    home = environment.get("HOME") or os.sep
    try:
        file = Path(environment.get(TOKEN_PATH) or Path(home) / DEFAULT_FILE)
        text = read_input(file, MAX_TOKEN_BYTES).decode().strip()
    except (OSError, ValueError):
        return None
    return text or None


def cluster_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which a cluster is joined: with a token if there is one, unless the user has set the mode."""
    if environment.get(MODE) is not None or find_token(environment) is None:
        return {}
    return {MODE: "token"}


def private_variables() -> dict[str, str]:
    """The variables of a private Ray: a random token, so that Ray writes none to the home folder."""
    return {MODE: "token", TOKEN: secrets.token_hex(32)}
