"""Studies whose database is damaged, or holds what no search wrote."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bad_input import BadInput, Make
from makers import DEEP, DEEP_MAPPING, HUGE_INT, at, cut

COMMANDS = {
    "status": "status done",
    "front": "front done --json",
    "show": "show done {number} --json",
    "report": "report done --out page.html",
    "export": "export done {number} --out model",
    "search": "search done trials=1",
}
ODD = 4
"""The number of the trial that is odd; the first whose values and architecture are usual."""

STAGE = {"mixer": {"name": "conv"}, "width": 16}


def architecture(**changes: Any) -> str:
    """An architecture as JSON with `changes`."""
    plain = {"image_size": [8, 8], "in_chans": 1, "num_classes": 10, "stem": {"patch": 2}, "stages": [STAGE]}
    return json.dumps(plain | changes)


ODD_TRIALS: dict[str, dict[str, str]] = {
    "width 10^9": {"architecture": architecture(stages=[{**STAGE, "width": 10**9}])},
    "width 10^7": {"architecture": architecture(stages=[{**STAGE, "width": 10**7}])},
    "depth 10^9": {"architecture": architecture(stages=[{**STAGE, "depth": 10**9}])},
    "depth 10^4": {"architecture": architecture(stages=[{**STAGE, "depth": 10**4}])},
    "depth of 5,000 digits": {"architecture": architecture(stages=[{**STAGE, "depth": 1}]).replace('"depth": 1', '"depth": ' + HUGE_INT)},
    "image 10^9": {"architecture": architecture(image_size=[10**9, 10**9])},
    "10^9 classes": {"architecture": architecture(num_classes=10**9)},
    "expansion 1e308": {"architecture": architecture(stages=[{**STAGE, "channel_mixer": {"name": "mlp", "expansion": 1e308}}])},
    "kernel 10^9": {"architecture": architecture(stages=[{**STAGE, "mixer": {"name": "conv", "k": 10**9 + 1}}])},
    "10^4 stages": {"architecture": architecture(stages=[STAGE] * 10_000)},
    "10^3 stages": {"architecture": architecture(stages=[STAGE] * 1_000)},
    "architecture is text": {"architecture": '"conv"'},
    "architecture is a list": {"architecture": "[1, 2]"},
    "architecture is empty": {"architecture": "{}"},
    "stages are text": {"architecture": '{"stages": "conv"}'},
    "stages are numbers": {"architecture": '{"stages": [1, 2]}'},
    "stages are a mapping": {"architecture": '{"stages": {"a": 1}}'},
    "mixer is a list": {"architecture": '{"stages": [{"mixer": [1]}]}'},
    "mixer is deep": {"architecture": '{"stages": [{"mixer": ' + DEEP + "}]}"},
    "mixer with markup": {"architecture": architecture(stages=[{**STAGE, "mixer": {"name": "[red]<b>x[/red]\x1b[31m"}}])},
    "depth is text": {"architecture": '{"stages": [{"mixer": "conv", "depth": "x"}]}'},
    "depth is infinite": {"architecture": '{"stages": [{"mixer": "conv", "depth": Infinity}]}'},
    "unknown keys": {"architecture": architecture(evil=1)},
    "deep list": {"architecture": DEEP},
    "deep mapping": {"architecture": DEEP_MAPPING},
    "broken JSON": {"architecture": '{"stages": [', "curve": "[", "segments": "nope", "macs": "1e"},
    "empty JSON": {"architecture": "", "curve": "", "id": ""},
    "NaN everywhere": dict.fromkeys(("macs", "params", "fft_flops", "images_per_s", "train_s", "wall_s", "overhead_s", "idle_s", "seed"), "NaN"),
    "infinite everywhere": dict.fromkeys(("macs", "params", "fft_flops", "images_per_s", "train_s", "wall_s", "overhead_s", "idle_s", "seed"), "-Infinity"),
    "5,000 digits everywhere": dict.fromkeys(("macs", "params", "images_per_s", "train_s", "wall_s", "seed", "until", "retried_from"), HUGE_INT),
    "text everywhere": dict.fromkeys(("macs", "params", "images_per_s", "train_s", "wall_s", "seed", "until", "retried_from", "curve", "segments", "predicted", "throughput"), '"x"'),
    "list everywhere": dict.fromkeys(("macs", "params", "images_per_s", "train_s", "wall_s", "seed", "until", "retried_from", "id", "device", "outcome", "failure", "refused"), "[1]"),
    "mapping everywhere": dict.fromkeys(("macs", "params", "images_per_s", "train_s", "wall_s", "seed", "id", "device", "outcome", "failure", "refused", "curve", "segments"), '{"a": 1}'),
    "true everywhere": dict.fromkeys(("macs", "params", "images_per_s", "train_s", "wall_s", "seed", "id", "device", "outcome"), "true"),
    "deep everywhere": dict.fromkeys(("curve", "segments", "predicted", "throughput", "id", "device", "macs"), DEEP),
    "curve of text": {"curve": '[{"epoch": "x", "val_accuracy": "y", "wall_s": []}]'},
    "curve of NaN": {"curve": '[{"epoch": NaN, "val_accuracy": NaN, "train_loss": Infinity, "wall_s": -1e308}]'},
    "curve of other keys": {"curve": '[{"<b>": {"a": [1]}, "\\u001b[31m": 3}]'},
    "curve of 10^5 epochs": {"curve": json.dumps([{"epoch": n, "val_accuracy": 0.5, "wall_s": 1} for n in range(100_000)])},
    "segments of year 10^9": {"segments": '[{"worker": "a/b/c", "start": 1e300, "end": 1e301, "train_s": 1e308}]'},
    "segments in negative time": {"segments": '[{"worker": 3, "start": -1e300, "end": null}]'},
    "markup in texts": dict.fromkeys(("device", "failure", "refused", "id", "outcome"), '"[red]<script>alert(1)</script>[/red]\\u001b[31m\\n\\u202e"'),
    "texts of 10^6 characters": dict.fromkeys(("device", "failure", "refused", "id"), json.dumps("x" * 1_000_000)),
    "surrogates in texts": dict.fromkeys(("device", "failure", "refused", "id"), '"\\ud800"'),
    "outcome of another kind": {"outcome": '"exploded"'},
    "retried from itself": {"retried_from": str(ODD)},
    "predicted of another shape": {"predicted": '{"accuracy": [1]}'},
    "throughput of another shape": {"throughput": '{"images_per_s_interval": "x", "batch_size": [], "repeats": {}}'},
}  # fmt: skip
"""Kind -> attribute -> JSON."""

DIGITS_SPACE = '{"stem": {"patch": 4}, "stages": [{"mixer": "conv", "width": [8, 16]}]}'
ODD_STUDIES: dict[str, dict[str, str]] = {
    "objectives are text": {"objectives": '"accuracy"'},
    "objectives are none": {"objectives": "[]"},
    "objectives are too many": {"objectives": '[{"name": "accuracy", "unit": "", "direction": "maximize", "log": false}]'},
    "objectives without direction": {"objectives": '[{"name": "a"}, {"name": "b"}, {"name": "c"}]'},
    "objectives of another direction": {"objectives": json.dumps([{"name": n, "unit": "", "direction": "sideways", "log": False} for n in "abc"])},
    "objectives with markup": {"objectives": json.dumps([{"name": f"[red]<b>{n}\x1b[31m", "unit": "[/red]", "direction": "maximize", "log": False} for n in "abc"])},
    "objectives of one name": {"objectives": json.dumps([{"name": "accuracy", "unit": "", "direction": "maximize", "log": False}] * 3)},
    "objectives none of which is trained": {"objectives": json.dumps([{"name": n, "unit": "", "direction": "minimize", "log": False} for n in ("macs", "params", "x")])},
    "objectives with wrong log": {"objectives": json.dumps([{"name": n, "unit": 3, "direction": "maximize", "log": "x"} for n in ("accuracy", "macs", "x")])},
    "objectives are deep": {"objectives": DEEP},
    "objectives are broken": {"objectives": '[{"name"'},
    "config is text": {"config": '"text"'},
    "config is a list": {"config": "[1, 2]"},
    "config is broken": {"config": '{"a": '},
    "config is deep": {"config": DEEP_MAPPING},
    "config of other types": {"config": '{"limits": 3, "trials": "x", "train": [], "space": "y", "sampler": 1, "scheduler": [], "name": {}, "seed": "z", "data": 3, "objectives": 4}'},
    "config of NaN": {"config": '{"limits": {"macs": NaN}, "trials": NaN, "seed": NaN, "train": {"epochs": NaN, "lr": -Infinity}}'},
    "config of 5,000 digits": {"config": f'{{"trials": {HUGE_INT}, "seed": {HUGE_INT}, "train": {{"epochs": {HUGE_INT}}}, "limits": {{"macs": {HUGE_INT}}}}}'},
    "config with markup": {"config": '{"sampler": {"name": "[red]<b>x\\u001b[31m"}, "train": {"schedule": "[/red]", "<b>": 1}, "name": "[bold]"}'},
    "config of a huge space": {"config": json.dumps({"space": {"stages": [{"mixer": "conv", "width": list(range(1, 100_001))}]}})},
    "dataset is text": {"dataset": '"text"'},
    "dataset is a list": {"dataset": "[1]"},
    "dataset of other types": {"dataset": '{"fingerprint": [], "image_size": "x", "in_chans": -1, "num_classes": 1e300, "class_names": 3, "train": "x", "reading_version": "x", "name": {}}'},
    "dataset of 10^9 classes": {"dataset": '{"num_classes": 1000000000, "image_size": [1000000000, 1000000000], "in_chans": 1000000000, "train": 2000000000, "fingerprint": "../../../etc/passwd"}'},
    "dataset of another reading version": {"dataset": f'{{"reading_version": {HUGE_INT}, "fingerprint": "f00d"}}'},
    "dataset with markup": {"dataset": '{"name": "[red]<b>\\u001b[31m", "class_names": ["[bold]", "<i>", "\\ud800", "\\u202e"], "fingerprint": "*"}'},
    "dataset is deep": {"dataset": DEEP_MAPPING},
    "space size of 10^5 digits": {"space_size": '"' + "9" * 100_000 + '"'},
    "space size is text": {"space_size": '"many"'},
    "space size is a list": {"space_size": "[1]"},
    "notes are hostile": {"notes": '{"4": "[red]<script>\\u001b[31m\\n", "x": 3, "99999999999999": "y"}'},
    "notes are deep": {"notes": DEEP_MAPPING},
    "pins are hostile": {"pins": '[4, 4, -1, 1e300, "x", null, 999999999]'},
    "pins are 10^5": {"pins": json.dumps(list(range(100_000)))},
    "test accuracy is hostile": {"test_accuracy": '{"4": NaN, "0": "x", "999": 3, "y": 1}'},
    "test confusion is hostile": {"test_confusion": '{"4": {"totals": [1e300], "correct": "x", "confusions": [[1,2,3]]}, "0": [], "y": 1}'},
    "test confusion of 10^9 classes": {"test_confusion": '{"4": {"totals": [1], "correct": [0], "confusions": [[0, 1000000000, 1]]}}'},
    "environments are hostile": {"environments": '[{"since": "x"}, 3, {"since": "2020-01-01T00:00:00+00:00", "<b>": "[red]\\u001b[31m", "host": []}]'},
    "target is hostile": {"target": '{"trials": 1e300, "time_budget_s": "x", "since": "[red]\\u001b", "workers": -1}'},
    "end reason is hostile": {"end_reason": '"[red]<b>\\u001b[31m\\n\\u202e"'},
    "end reason is a mapping": {"end_reason": '{"a": 1}'},
    "start study is hostile": {"start_study": '{"name": [], "x": 1}'},
}  # fmt: skip


def sql(*statements: str | tuple[str, tuple[Any, ...]], file: str = "done/study.db") -> Make:
    """Runs SQL on the database of the study."""

    def make(folder: Path) -> None:
        with closing(sqlite3.connect(folder / file)) as connection:
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))
            connection.commit()

    return make


def odd_trial(attributes: dict[str, str], number: int = ODD) -> Make:
    """Writes `attributes` of the trial `number`."""
    insert = (
        "INSERT OR REPLACE INTO trial_user_attributes(trial_id, key, value_json)"
        " SELECT trial_id, ?, ? FROM trials WHERE number = ?"
    )
    return sql(*((insert, (name, text, number)) for name, text in attributes.items()))


def odd_study(attributes: dict[str, str]) -> Make:
    """Writes `attributes` of the study."""
    insert = "INSERT OR REPLACE INTO study_user_attributes(study_id, key, value_json) VALUES (1, ?, ?)"
    return sql(*((insert, item) for item in attributes.items()))


def all_odd_trials(folder: Path) -> None:
    """Makes each complete trial another kind of odd."""
    for number, attributes in enumerate(ODD_TRIALS.values()):
        odd_trial(attributes, number)(folder)


def overwrite(offset: int, content: bytes) -> Make:
    """Writes `content` into the file of the database."""

    def make(folder: Path) -> None:
        with (folder / "done" / "study.db").open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return make


def replace_database(make: Callable[[Path], object]) -> Make:
    """Makes something else in the place of the database."""
    return at("done/study.db", make)


def another_application(file: Path) -> None:
    """Makes a database of another application."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE moz_places(id INTEGER, url TEXT)")
        connection.commit()


def another_schema(file: Path) -> None:
    """Makes a database with tables of the names, but other columns."""
    with closing(sqlite3.connect(file)) as connection:
        for table in ("studies", "trials", "study_user_attributes", "trial_user_attributes", "alembic_version"):
            connection.execute(f"CREATE TABLE {table}(x)")
        connection.commit()


FILES: dict[str, Make] = {
    "/dev/zero": replace_database(lambda file: file.symlink_to("/dev/zero")),
    "/dev/urandom": replace_database(lambda file: file.symlink_to("/dev/urandom")),
    "pipe": replace_database(os.mkfifo),
    "folder": replace_database(Path.mkdir),
    "link to itself": replace_database(lambda file: file.symlink_to("study.db")),
    "empty": replace_database(Path.touch),
    "text": replace_database(lambda file: file.write_text("no database\n")),
    "zeros": replace_database(lambda file: file.write_bytes(bytes(100_000))),
    "header of 1 GB": replace_database(lambda file: (file.write_bytes(b"SQLite format 3\0"), os.truncate(file, 1 << 30))),
    "of another application": replace_database(another_application),
    "of another schema": replace_database(another_schema),
    "cut": cut(50_000, "done/study.db"),
    "damaged header": overwrite(16, b"\xff" * 20),
    "damaged second page": overwrite(4096, b"\xff" * 4096),
    "damaged last pages": overwrite(60_000, b"\0" * 80_000),
    "without studies": sql("DELETE FROM studies"),
    "without directions": sql("DELETE FROM study_directions"),
    "with an unknown state": sql("UPDATE trials SET state = 'EXPLODED' WHERE number = 4"),
    "with an unknown direction": sql("UPDATE study_directions SET direction = 'SIDEWAYS'"),
    "with a number that is text": sql("UPDATE trials SET number = 'x' WHERE number = 4"),
    "with a negative number": sql("UPDATE trials SET number = -5 WHERE number = 4"),
    "with a number of 10^18": sql("UPDATE trials SET number = 1000000000000000000 WHERE number = 36"),
    "with a number of 10^9": sql("UPDATE trials SET number = 1000000000 WHERE number = 36"),
    "with two trials of one number": sql("UPDATE trials SET number = 3 WHERE number = 4"),
    "with a value that is text": sql("UPDATE trial_values SET value = 'x' WHERE trial_id = 5"),
    "with a value of an unknown type": sql("UPDATE trial_values SET value_type = 'X' WHERE trial_id = 5"),
    "with values NaN": sql("UPDATE trial_values SET value = NULL, value_type = 'NAN' WHERE trial_id = 5"),
    "with values infinite": sql("UPDATE trial_values SET value = NULL, value_type = 'INF_POS' WHERE trial_id = 5"),
    "with values 1e308": sql("UPDATE trial_values SET value = 1e308 WHERE trial_id = 5", "UPDATE trial_values SET value = -1e308 WHERE trial_id = 1"),
    "with values 0": sql("UPDATE trial_values SET value = 0 WHERE trial_id = 5"),
    "with a time that is none": sql("UPDATE trials SET datetime_start = 'yesterday' WHERE number = 4"),
    "with a time of year 1": sql("UPDATE trials SET datetime_start = '0001-01-01 00:00:00.000000' WHERE number = 4"),
    "with a time of year 9999": sql("UPDATE trials SET datetime_complete = '9999-12-31 23:59:59.999999' WHERE number = 4"),
    "with a schema of the future": sql("UPDATE alembic_version SET version_num = 'v99'"),
    "with a distribution that is none": sql("INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES (5, 'x', 0, 'nope')"),
    "with a distribution of no class": sql("""INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES (5, 'x', 0, '{"name": "os.system", "attributes": {"choices": [1]}}')"""),
    "with a parameter beyond its choices": sql("""INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES (5, 'x', 9e18, '{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}')"""),
    "with a parameter NULL": sql("""INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES (5, 'x', NULL, '{"name": "CategoricalDistribution", "attributes": {"choices": [[1], {"a": 2}]}}')"""),
    "with constraints of text": sql("""INSERT INTO trial_system_attributes(trial_id, key, value_json) VALUES (5, 'constraints', '"x"'), (5, 'constraints:[red]', '[]'), (5, 'fixed_params', '[1]')"""),
    "with a broken system attribute": sql("""INSERT INTO trial_system_attributes(trial_id, key, value_json) VALUES (5, 'constraints', '[')"""),
    "with an attribute of bytes": sql("UPDATE trial_user_attributes SET value_json = x'ff00ff' WHERE trial_id = 5 AND key = 'macs'"),
    "with a key of bytes": sql("UPDATE trial_user_attributes SET key = x'ff00ff' WHERE trial_id = 5 AND key = 'macs'"),
    "with a NULL attribute": sql("UPDATE trial_user_attributes SET value_json = NULL WHERE trial_id = 5 AND key = 'macs'"),
    "with text that is no UTF-8": sql("UPDATE trial_user_attributes SET value_json = CAST(x'22ff22' AS TEXT) WHERE trial_id = 5 AND key = 'macs'"),
    "with an intermediate value of text": sql("INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value, intermediate_value_type) VALUES (5, 'x', 'y', 'Z')"),
    "with the name in markup": sql("UPDATE studies SET study_name = '[red]<script>alert(1)</script>' || char(27) || '[31m' || char(10) || '../../x'"),
    "with a name of 10^6 characters": sql("UPDATE studies SET study_name = replace(hex(zeroblob(500000)), '0', 'x')"),
    "with a trigger": sql("CREATE TRIGGER evil AFTER INSERT ON trials BEGIN DELETE FROM trials; END"),
    "with a view in the place of trials": sql("ALTER TABLE trials RENAME TO t2", "CREATE VIEW trials AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS trial_id, n AS number, 1 AS study_id, 'COMPLETE' AS state, NULL AS datetime_start, NULL AS datetime_complete FROM r"),
}  # fmt: skip


def read(kind: str, command: str, make: Make, *, expected: tuple[str, ...] = (), code: int = 0) -> BadInput:
    """A row of a command on a copy of the finished study that `make` has changed."""
    words = COMMANDS[command].format(number=ODD)
    return BadInput(f"{kind}: {command}", words, expected, make, code, ("page.html",), base="done")


def trial_rows() -> list[BadInput]:
    """`nas show` of a trial of each odd kind, and the other commands on a study that has them all."""
    rows = [read(kind, "show", odd_trial(attributes)) for kind, attributes in ODD_TRIALS.items()]
    rows += [read("trials of all kinds", command, all_odd_trials) for command in ("status", "front", "report")]
    return [*rows, *(read(kind, "export", odd_trial(ODD_TRIALS[kind]), code=code) for kind, code in EXPORTED.items())]


def study_rows() -> list[BadInput]:
    """`nas status` of a study of each odd kind, and a report of one with all markup."""
    rows = []
    for kind, attributes in ODD_STUDIES.items():
        code, expected = (0, ()) if kind not in REFUSED else (2, ("done", REFUSED[kind]))
        commands = ("status", "show", "front") if kind == "config is broken" else ("status",)
        rows += [read(kind, command, odd_study(attributes), expected=expected, code=code) for command in commands]
    reported = {name: text for kind in REPORTED for name, text in ODD_STUDIES[kind].items()}
    return [*rows, read("markup everywhere", "report", odd_study(reported))]


def file_rows() -> list[BadInput]:
    """`nas status` of each odd database, and other commands on some of them."""
    rows = []
    for kind, make in FILES.items():
        code = 2 if kind in UNREADABLE else 0
        commands = ("status", *ALSO_TRIED.get(kind, ()))
        expected = ("done",) if code else ()
        rows += [read(kind, command, make, expected=expected, code=code) for command in commands]
    return rows


EXPORTED = {"width 10^9": 1, "depth 10^4": 1, "architecture is text": 1, "deep mapping": 1}
REFUSED = {
    "objectives are text": "objectives", "objectives are none": "objectives", "objectives are too many": "objectives",
    "objectives without direction": "objectives", "objectives of another direction": "objectives",
    "objectives are deep": "objectives", "objectives are broken": "objectives", "config is broken": "config", "config of 5,000 digits": "config",
    "config is deep": "config", "dataset of another reading version": "dataset", "dataset is deep": "dataset", "notes are deep": "notes",
}  # fmt: skip
"""Kinds of studies whose own attributes are damaged -> a part of the error."""
REPORTED = (
    "objectives with markup",
    "config with markup",
    "dataset with markup",
    "notes are hostile",
    "end reason is hostile",
)
UNREADABLE = (
    "/dev/zero", "/dev/urandom", "pipe", "folder", "link to itself", "empty", "text", "zeros", "header of 1 GB",
    "of another application", "of another schema", "cut", "damaged header", "damaged second page", "without studies",
    "with a schema of the future", "with a number of 10^9", "with a number that is text", "with a number of 10^18",
    "with a negative number", "with two trials of one number", "without directions", "damaged last pages", "with text that is no UTF-8",
    "with a view in the place of trials",
)  # fmt: skip
ALSO_TRIED = {
    "/dev/zero": ("search",), "pipe": ("export", "search"), "folder": ("search",), "empty": ("search",),
    "of another application": ("export", "search"), "cut": ("export", "search"), "damaged header": ("search",),
    "with a view in the place of trials": ("export", "search"),
}  # fmt: skip
"""Kind of database -> the commands that it is tried with besides `status`; `search` opens it to write."""
ROWS = (*trial_rows(), *study_rows(), *file_rows())
