"""Study files that are hostile or broken."""

from __future__ import annotations

from pathlib import Path

from bad_input import BadInput, Make
from makers import SPACE, STUDY, at, link, pipe, sized, text

PAYLOADS = {
    "apply": '!!python/object/apply:os.system ["touch $CANARY"]',
    "new": '!!python/object/new:os.system ["touch $CANARY"]',
    "name": "!!python/name:os.system",
    "module": "!!python/module:antigravity",
    "tuple": "!!python/tuple [1, 2]",
    "own tag": "!mixfront {a: 1}",
}


def laughs(kind: str) -> str:
    """Aliases of aliases: 10^9 items, or with merge keys."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines) + f"\n{kind}: *a8\n"


def study(name: str, content: str | bytes, *expected: str, code: int = 2) -> BadInput:
    """A row of a study file with `content`."""
    return BadInput(name, "search study.yaml --out runs", ("study.yaml", *expected), text(content), code)


def place(name: str, make: Make, *expected: str) -> BadInput:
    """A row of something that is no study file."""
    return BadInput(name, "search study.yaml --out runs", ("study.yaml", *expected), make)


ROWS = (
    study("alias to itself", "trials: &a [*a]\n" + SPACE, "1:13", "alias"),
    study("root alias to itself", "&a {space: *a}\n"),
    study("space alias to itself", "space: &s {stages: *s}\n"),
    study("merge with itself", "&a {<<: *a, trials: 1}\n"),
    study("merge with a number", "<<: 3\n" + STUDY),
    study("alias of nothing", "trials: *nothing\n" + SPACE),
    study("billion laughs", laughs("trials") + SPACE),
    study("billion laughs in the space", laughs("b") + "space: {stages: *a8}\n"),
    study("billion laughs in a name", laughs("b") + "name: *a8\n" + STUDY),
    study("10^5 open brackets", "trials: " + "[" * 100_000 + "\n" + SPACE),
    study("10^5 nested mappings", "trials: " + "{a: " * 100_000 + "1" + "}" * 100_000 + "\n" + SPACE),
    study("3,000 nested block lists", "trials:\n" + " " + "- " * 3_000 + "1\n" + SPACE),
    study("400 nested lists", "trials: " + "[" * 400 + "]" * 400 + "\n" + SPACE),
    study("integer of 5,000 digits", f"trials: {'9' * 5_000}\n" + SPACE),
    study("seed of 5,000 digits", f"seed: {'9' * 5_000}\n" + STUDY),
    study("hexadecimal integer of 5,000 digits", f"trials: 0x{'f' * 5_000}\n" + SPACE),
    study("hexadecimal width of 5,000 digits", STUDY.replace("[8, 16]", "0x" + "f" * 5_000)),
    study("integer key of 5,000 digits", f"{'9' * 5_000}: 1\n" + STUDY),
    study("float of 10^6 digits", f"limits: {{macs: 1.{'0' * 1_000_000}}}\n" + STUDY),
    study("an integer with underscores", "trials: 1_000\n" + SPACE, "trials", "1_000"),
    study("Arabic digits", "trials: ٣\n" + SPACE, "trials"),
    study("duplicate key", STUDY + "trials: 3\n", "duplicate key 'trials'"),
    study("duplicate key in the space", STUDY.replace("depth: 1", "depth: 1, depth: 2"), "duplicate key 'depth'"),
    study("tab as indentation", "data:\n\tsource: digits\n" + SPACE),
    study("NUL", "trials: 2\0\n" + SPACE),
    study("NUL in a name", 'name: "a\\0b"\n' + STUDY, "name"),
    study("bell", "name: \a\n" + STUDY),
    study("UTF-16", STUDY.encode("utf-16"), "UTF-8"),
    study("UTF-16 without a mark", STUDY.encode("utf-16-le")),
    study("UTF-32", STUDY.encode("utf-32"), "UTF-8"),
    study("Latin-1", f"name: caf\xe9\n{STUDY}".encode("latin-1"), "UTF-8"),
    study("cut within a character", f"name: caf\xe9\n{STUDY}".encode()[:10], "UTF-8"),
    study("surrogate", b"name: \xed\xa0\x80\n" + STUDY.encode(), "UTF-8"),
    study("escaped surrogate", 'name: "\\ud800"\n' + STUDY, "name"),
    study("empty file", "", "mapping"),
    study("byte order mark alone", b"\xef\xbb\xbf", "mapping"),
    study("comment alone", "# a study\n", "mapping"),
    study("list at the root", "- trials: 2\n", "mapping"),
    study("text at the root", "trials\n", "mapping"),
    study("number at the root", "3\n", "mapping"),
    study("two documents", f"---\n{STUDY}---\n{STUDY}", "document"),
    study("YAML of version 9", "%YAML 9.0\n---\n" + STUDY),
    study("list as a key", "? [a]\n: 1\n" + STUDY),
    study("mapping as a key", "? {a: 1}\n: 1\n" + STUDY),
    study("null as a key", "~: 1\n" + STUDY),
    study("number as a key", "3: 1\n" + STUDY),
    study("true as a key", "true: 1\n" + STUDY),
    study("key of 10^5 characters", f"? {'k' * 100_000}\n: 1\n" + STUDY),
    study("value of 10^5 characters", f"trials: {'v' * 100_000}\n" + SPACE, "trials"),
    study("name of 10^5 characters", f"name: {'v' * 100_000}\n" + STUDY, "name"),
    study("10^5 unknown keys", STUDY + "".join(f"k{n}: {n}\n" for n in range(20_000))),
    study("unknown key with an escape", '"\\e[31mred": 1\n' + STUDY, "\\x1b"),
    study("unknown key with rich markup", '"[red]x[/red]": 1\n' + STUDY, "[red]x[/red]"),
    study("unknown key with a line end", '"a\\nb": 1\n' + STUDY, "a\\nb"),
    study("name with an escape", 'name: "\\e]0;title\\a"\n' + STUDY, "name", "\\x1b"),
    study("name that leads out of runs", "name: ../../x\n" + STUDY + "trials: [\n"),
    study("binary", "trials: !!binary aGVsbG8=\n" + SPACE),
    study("set", "objectives: !!set {accuracy, macs}\n" + STUDY),
    study("ordered mapping", "data: !!omap [source: digits]\n" + SPACE),
    study("timestamp", "trials: !!timestamp 2001-12-14\n" + SPACE),
    study("broken float tag", "trials: !!float abc\n" + SPACE),
    study("broken int tag", "trials: !!int abc\n" + SPACE),
    study("int tag of a list", "trials: !!int [1]\n" + SPACE),
    study("broken bool tag", "trials: !!bool 3\n" + SPACE),
    study("broken timestamp tag", "trials: !!timestamp abc\n" + SPACE),
    study("broken binary tag", "trials: !!binary ü\n" + SPACE),
    study("sexagesimal int tag", "trials: !!int 1:60\n" + SPACE),
    study("mapping tag of a list", "data: !!map [1]\n" + SPACE),
    study("str tag of a mapping", "name: !!str {a: b}\n" + STUDY),
    study("pairs tag of a number", "data: !!pairs 3\n" + STUDY),
    *(study(f"python {name}", f"trials: {payload}\n{SPACE}") for name, payload in PAYLOADS.items()),
    study("python tag as a key", f"? {PAYLOADS['apply']}\n: 1\n{STUDY}"),
    study("environment variable in a name", "name: $(touch $CANARY)\ntrials: 0\n" + SPACE, "trials"),
    place("folder", at("study.yaml", Path.mkdir), "directory"),
    place("/dev/zero", link("/dev/zero"), "file"),
    place("/dev/urandom", link("/dev/urandom"), "file"),
    place("/dev/null", link("/dev/null")),
    place("/proc/self/mem", link("/proc/self/mem")),
    place("pipe", pipe(), "file"),
    place("link to itself", link("study.yaml")),
    place("broken link", link("nowhere.yaml"), "no such file"),
    place("file of 1 GB", sized(1 << 30), "MB"),
    place("file of 20 MB", text("#" * 20_000_000)),
    BadInput("/dev/zero itself", "search /dev/zero --out runs", ("/dev/zero",)),
    BadInput("/dev/stdin", "search /dev/stdin --out runs", ("/dev/stdin",)),
)


NUMBERS = {"not a number": ".nan", "infinite": ".inf", "negative": "-1", "400 digits": "9" * 400}
KEYS = (
    "trials", "seed", "time_budget", "data.image_size", "data.val_fraction", "data.test_fraction", "data.limit", "data.seed",
    "train.epochs", "train.batch_size", "train.lr", "train.weight_decay", "train.warmup_epochs", "train.label_smoothing",
    "train.mixup", "train.cutmix", "train.grad_clip", "train.ema", "train.validate_every", "train.eval_batch_size",
    "limits.macs", "limits.images_per_s", "scheduler.reduction", "scheduler.first_epochs", "throughput.batch_size",
    "throughput.min_time_s", "throughput.max_time_s", "throughput.interval", "throughput.operators_s", "resources.workers",
    "resources.cpus_per_trial", "resources.gpus_per_trial", "space.stages.0.width", "space.stages.0.depth",
    "space.stages.0.layer_scale", "space.stem.patch", "space.num_stages",
)  # fmt: skip
