"""Names of timm's models, which a user may have mistyped."""

from __future__ import annotations

from nas.errors import UsageError
from search_space.errors import suggestion, with_value


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
        text = with_value(f"{rule}{suggestion(architecture, timm.list_models())}", repr(name))
        raise UsageError(f"{place}: {text}")
    if dot and name not in timm.list_pretrained(f"{architecture}.*"):
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise UsageError(f"{place}: timm has no weights with the tag {tag!r} (known: {tags}), found {name!r}")
