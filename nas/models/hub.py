"""Downloads of timm's weights from the Hugging Face Hub that fail within seconds where there is no network.

huggingface_hub tries each of three files six times, about 50 s together, and again for files that are in its cache. Here one
request says whether the Hub can be reached; where it cannot, the weights come from the cache or not at all.

`huggingface_hub.constants.HF_HUB_OFFLINE` is what the environment variable of this name sets. The library reads it at each
request and has no function that sets it; `tests/nas/models/test_hub.py` holds it to that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nas.errors import reason

LOGGER = "huggingface_hub"
PROBE_TIMEOUT_S = 5.0
OFFLINE = "HF_HUB_OFFLINE is set"


@contextmanager
def hub_downloads() -> Iterator[None]:
    """Within it the Hub is tried once, and what timm asks it for comes from the cache of downloads if it cannot be reached.

    Raises:
        ConnectionError: it cannot, and the cache does not have what the block asked for.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    problem = OFFLINE if constants.HF_HUB_OFFLINE else _probe(constants.ENDPOINT)
    was_offline = constants.HF_HUB_OFFLINE
    logger = logging.getLogger(LOGGER)
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it logs each of its attempts, and the last raises
    constants.HF_HUB_OFFLINE = problem is not None
    try:
        yield
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        found = reason(error) if problem is None else problem
        rule = "they are not in the cache of downloads, and the Hugging Face Hub cannot be reached"
        raise ConnectionError(f"{rule} ({found})") from None
    finally:
        constants.HF_HUB_OFFLINE = was_offline
        logger.setLevel(level)


def _probe(address: str) -> str | None:
    """Why the Hub cannot be reached; None: it answers."""
    from huggingface_hub import get_session

    try:
        get_session().head(address, timeout=PROBE_TIMEOUT_S)
    except Exception as error:  # of whichever library huggingface_hub makes its requests with
        return f"{address}: {reason(error)}"
    return None
