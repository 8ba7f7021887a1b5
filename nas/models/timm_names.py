"""Names of timm's models, which a user may have mistyped."""

from __future__ import annotations

import difflib

from nas.errors import UsageError

MAX_SUGGESTIONS = 3


def check_model_name(name: str, place: str, rule: str = "timm has no model of this name") -> None:
    """Check that timm has the model `name`, which may have a tag (`resnet18.a1_in1k`).

    Args:
        name: the name.
        place: what named it, such as `--baseline`.
        rule: what is said of a name that timm does not know.

    Raises:
        UsageError: it has not; the error names the closest names.
    """
    import timm  # takes seconds

    architecture, dot, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), MAX_SUGGESTIONS, cutoff=0.5)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UsageError(f"{place}: {rule}{hint}, found {name!r}")
    if dot and name not in timm.list_pretrained(f"{architecture}.*"):
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise UsageError(f"{place}: timm has no weights with the tag {tag!r} (known: {tags}), found {name!r}")
