"""Tables that are hostile or broken: of `nas bench search`, and those that group or split the images of a study."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bad_input import BadInput, Make
from makers import DEEP, DEEP_MAPPING, HUGE_INT, STUDY, at, images, link, pipe, several, sized, text

VALID = tuple(
    (kernel, width, 0.5 + kernel / 100 + width / 1000, 100 * kernel * width)
    for kernel in (3, 5, 7)
    for width in (8, 16, 32)
)
HEADER = "kernel,width,accuracy,macs"
LINES = [HEADER, *(",".join(map(str, row)) for row in VALID)]
CSV = "\n".join(LINES) + "\n"
RECORDS = [dict(zip(HEADER.split(","), row, strict=True)) for row in VALID]


def changed(old: str, new: str) -> str:
    """The valid table with the first `old` replaced."""
    return CSV.replace(old, new, 1)


def records(**cells: object) -> str:
    """The valid table as JSON, with other cells in its first row."""
    return json.dumps([RECORDS[0] | cells, *RECORDS[1:]])


TABLES: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("csv", "", "architecture"),
    "header alone": ("csv", HEADER + "\n", "at least one architecture"),
    "no header": ("csv", CSV.partition("\n")[2], "objective"),
    "other header": ("csv", changed("accuracy", "beauty"), "objective"),
    "column without a name": ("csv", changed("width", ""), "column 2"),
    "two columns of one name": ("csv", changed("width", "kernel"), "'kernel' twice"),
    "name with an escape": ("csv", changed(HEADER, "kernel,wi\x1b[31mdth,beauty,x"), "\\x1b[31m"),
    "name in markup": ("csv", changed(HEADER, "kernel,[red]x[/red],beauty,x"), "[red]x[/red]"),
    "short row": ("csv", changed(LINES[1], "3,8"), "table.csv:2"),
    "long row": ("csv", changed(LINES[1], LINES[1] + ",1"), "table.csv:2"),
    "row twice": ("csv", CSV + LINES[1] + "\n", "table.csv:11"),
    "accuracy of text": ("csv", changed("0.538", "good"), "'good'"),
    "accuracy that is infinite": ("csv", changed("0.538", "inf"), "'inf'"),
    "accuracy of 1e999": ("csv", changed("0.538", "1e999"), "'1e999'"),
    "accuracy of 5,000 digits": ("csv", changed("0.538", HUGE_INT), "accuracy"),
    "all accuracies NaN": ("csv", "\n".join([HEADER, *(f"{k},{w},nan,{m}" for k, w, _, m in VALID)]), "did not fail"),
    "all accuracies the same": ("csv", "\n".join([HEADER, *(f"{k},{w},1,1" for k, w, _, _ in VALID)]), "differ"),
    "accuracies 1e308": ("csv", "\n".join([HEADER, *(f"{k},{w},{'-' if w == 16 else ''}1e308,{m}" for k, w, _, m in VALID)]), "accuracy"),
    "MACs of 0": ("csv", changed(",2400\n", ",0\n"), "macs"),
    "MACs negative": ("csv", changed(",2400\n", ",-1\n"), "macs"),
    "MACs missing": ("csv", changed(",2400\n", ",\n"), "macs"),
    "MACs NaN": ("csv", changed(",2400\n", ",nan\n"), "macs"),
    "list that is none": ("csv", changed("0.538", '"[1,"'), "accuracy"),
    "list that is deep": ("csv", changed("0.538", "[" * 100_000), "accuracy"),
    "quote without an end": ("csv", changed("0.538", '"0.538'), "table.csv"),
    "NUL": ("csv", changed("0.538", "0.5\0"), "table.csv:2: a table must be text"),
    "NUL in the header": ("csv", "\0" + CSV, "table.csv:1"),
    "line of 10^7 characters": ("csv", "x" * 10_000_000, "field"),
    "10^6 columns": ("csv", "," * 1_000_000, "table.csv:1"),
    "10^5 named columns": ("csv", ",".join(f"c{n}" for n in range(100_000)) + "\n" + ",".join(["1"] * 100_000) + "\n", "objective"),
    "UTF-16": ("csv", CSV.encode("utf-16"), "UTF-8"),
    "Latin-1": ("csv", changed("0.538", "\xe9").encode("latin-1"), "UTF-8"),
    "surrogate": ("csv", b"\xed\xa0\x80" + CSV.encode(), "UTF-8"),
    "commas called TSV": ("tsv", CSV, "objective"),
    "suffix of another kind": ("parquet", "PAR1", "'.parquet'"),
    "empty JSON": ("json", "", "table.json:1:1"),
    "text in JSON": ("json", '"x"', "'x'"),
    "list of numbers": ("json", "[1, 2]", "row 1"),
    "list of lists": ("json", "[[]]", "row 1"),
    "empty list": ("json", "[]", "at least one architecture"),
    "empty object": ("json", "{}", "at least one architecture"),
    "broken JSON": ("json", '[{"kernel": ', "table.json:1:13"),
    "deep list": ("json", DEEP, "table.json"),
    "deep mapping": ("json", DEEP_MAPPING, "table.json"),
    "integer of 5,000 digits": ("json", f"[{HUGE_INT}]", "table.json"),
    "accuracy of 400 digits": ("json", records(accuracy=10**400), "accuracy"),
    "accuracy NaN in JSON": ("json", records(accuracy=float("inf")), "accuracy"),
    "accuracy of a mapping": ("json", records(accuracy={"a": 1}), "accuracy"),
    "accuracy of true": ("json", records(accuracy=True), "accuracy"),
    "accuracy of lists": ("json", records(accuracy=[[1]]), "accuracy"),
    "name twice in JSON": ("json", '[{"kernel": 1, "kernel": 2}]', "'kernel' twice"),
    "key twice in JSON": ("json", '{"a": {}, "a": {}}', "twice"),
    "choice of lists": ("json", records(kernel=[1]), "row 4"),
    "choice of 400 digits": ("json", records(kernel=10**400), "row 1"),
    "choice that is infinite": ("json", records(kernel=float("inf")), "kernel"),
    "key of surrogates": ("json", '{"\\ud800\\u001b[31m": {"accuracy": "x"}}', "\\ud800"),
}  # fmt: skip
"""Kind -> suffix, content, and a part of the error."""

PLACES: dict[str, Make] = {
    "/dev/zero": link("/dev/zero", "table.csv"),
    "/dev/urandom": link("/dev/urandom", "table.csv"),
    "/proc/self/mem": link("/proc/self/mem", "table.csv"),
    "pipe": pipe("table.csv"),
    "folder": at("table.csv", lambda place: place.mkdir()),
    "link to itself": link("table.csv", "table.csv"),
    "link to nothing": link("nowhere.csv", "table.csv"),
    "2 GB": sized(2 << 30, "table.csv"),
}

OPTIONS = {
    "objective that is none": ("--objective beauty:max", "beauty"),
    "objective in markup": ("--objective '[red]x[/red]:max'", "[red]x[/red]"),
    "objective of another direction": ("--objective accuracy:sideways", "accuracy:sideways"),
    "objective twice": ("--objective accuracy:max --objective accuracy:min", "once"),
    "choice that is none": ("--choice beauty", "beauty"),
    "choice that is an objective": ("--choice accuracy", "accuracy"),
    "key that is none": ("--key '\x1b[31m'", "\\x1b"),
    "reference NaN": ("--reference accuracy=nan", "accuracy=nan"),
    "reference of 5,000 digits": (f"--reference accuracy={HUGE_INT}", "reference"),
    "reference better than all": ("--reference accuracy=1e308", "accuracy=1e+308"),
    "sampler that is a module": ("--samplers os.system", "os.system"),
}
"""Kind -> options on the valid table, and a part of the error."""

GROUPS: dict[str, tuple[str, str | bytes, str]] = {
    "deep JSON": ("json", DEEP_MAPPING, "JSON"),
    "integer of 5,000 digits": ("json", f'{{"a": [{HUGE_INT}]}}', "JSON"),
    "other JSON": ("json", "[1]", "of the form"),
    "path of surrogates": ("json", '{"a": ["\\ud800\\u001b[31m.png"]}', "\\x1b"),
    "path that leads out": ("csv", "path,group\n../../../etc/passwd,a\n", "passwd"),
    "path of NUL": ("csv", "path,group\ncat/\0.png,a\n", "\\x00"),
    "short row": ("csv", "path,group\ncat/0.png\n", "table.csv:2"),
    "other header": ("csv", "file,set\n", "path"),
    "two groups": ("csv", "path,group\ncat/0.png,a\ncat/0.png,b\n", "table.csv:3"),
    "no UTF-8": ("csv", b"path,group\n\xff,a\n", "UTF-8"),
    "line of 10^6 characters": ("csv", "path,group\n" + "x" * 1_000_000 + ",a\n", "field"),
}  # fmt: skip


def bench(kind: str, make: Make, suffix: str, expected: str, options: str = "", trainings: int = 2) -> BadInput:
    """`nas bench search` on the table."""
    words = f"bench search --table table.{suffix} --samplers random --seeds 1 --trainings {trainings} {options}"
    return BadInput(f"bench, {kind}", words, (expected,), make)


def grouped(kind: str, make: Make, table: str, expected: str, key: str = "group_by") -> BadInput:
    """`nas data` of a folder whose images the table groups or splits."""
    words = f"data photos data.{key}={table}" if key == "group_by" else f"data photos data.split.file={table}"
    return BadInput(f"{key}, {kind}", words, (expected,), several(text(STUDY), images(), make))


def group_rows() -> Iterator[BadInput]:
    """Tables of groups, and one of a split."""
    for kind, (suffix, content, expected) in GROUPS.items():
        yield grouped(kind, text(content, f"table.{suffix}"), f"table.{suffix}", expected)
    yield grouped("deep JSON", text(DEEP_MAPPING, "table.json"), "table.json", "JSON", key="split")
    yield grouped("/dev/zero", link("/dev/zero", "table.csv"), "table.csv", "table.csv", key="split")


ROWS = (
    *(bench(kind, text(content, f"table.{suffix}"), suffix, part) for kind, (suffix, content, part) in TABLES.items()),
    *(bench(f"table is {kind}", make, "csv", "table.csv") for kind, make in PLACES.items()),
    *(bench(kind, text(CSV, "table.csv"), "csv", part, options) for kind, (options, part) in OPTIONS.items()),
    *group_rows(),
)
