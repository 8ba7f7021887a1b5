"""Words of commands: overrides, options, numbers, paths and addresses that are absurd."""

from __future__ import annotations

import os
from pathlib import Path

from bad_input import BadInput, Make
from PIL import Image
from rows_yaml import STUDY, link, text

PASSWORD = "geheim-7342"
LONG = "x" * 300


def search(name: str, *words: str, expected: tuple[str, ...] = (), make: Make = text(STUDY), code: int = 2) -> BadInput:
    """A row of a search of `study.yaml` with further `words`."""
    return BadInput(name, ("search", "study.yaml", "--out", "runs", *words), expected, make, code)


def word(name: str, words: str, *expected: str, make: Make = text(STUDY), code: int = 2) -> BadInput:
    """A row of other commands; the word `done` is a finished study."""
    base = "done" if "done" in words.split() else ""
    return BadInput(name, words, expected, make, code, base=base)


def fifo(folder: Path) -> None:
    """Makes a pipe beside the study."""
    text(STUDY)(folder)
    os.mkfifo(folder / "pipe")


def images_and_pipe(folder: Path) -> None:
    """Makes folders of images, and a pipe for a table."""
    text(STUDY)(folder)
    images(folder / "photos")
    os.mkfifo(folder / "pipe.csv")


def images(folder: Path, count: int = 8) -> None:
    """Makes a folder of images of two classes."""
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / name / f"{number}.png")


OVERRIDES = (
    search("index of another script", "space.stages.²=1", expected=("stages", "²")),
    search("index in Arabic digits", "space.stages.٣.width=8", expected=("stages",)),
    search("index in brackets of another script", "space.stages[²].width=8", expected=("stages",)),
    search("index of 11 digits", "space.stages.99999999999.width=8", expected=("index below 1",)),
    search("negative index", "space.stages.-1.width=8", expected=("index below 1",)),
    search("index of a mapping", "train.0=8", expected=("train",)),
    search("key without a value", "trials", expected=("trials",)),
    search("value without a key", "=3", expected=("=3", "key.sub=value")),
    search("two dots", "data..limit=3", expected=("key.sub=value",)),
    search("dots alone", "...=3", expected=("key.sub=value",)),
    search("10^5 parts", "a." * 50_000 + "b=1", expected=("parts",)),
    search("10^4 brackets", "trials=" + "[" * 10_000, expected=("trials=",)),
    search("alias to itself", "trials=&a [*a]", expected=("trials=", "alias")),
    search("billion laughs", "trials=[&a [1,1,1,1,1,1,1,1,1,1], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b], &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]]", expected=("trials=",)),
    search("python tag", 'trials=!!python/object/apply:os.system ["touch $CANARY"]', expected=("trials=",)),
    search("shell substitution", "trials=$(touch $CANARY)", expected=("trials",)),
    search("back quotes", "name=`touch $CANARY`", "trials=0", expected=("trials",)),
    search("integer of 5,000 digits", f"trials={'9' * 5_000}", expected=("trials",)),
    search("unknown key", "trails=3", expected=("trails", "trials")),
    search("unknown key with an escape", "\x1b[31m=3", expected=("\\x1b",)),
    search("unknown key with a line end", "a\nb=3", expected=("a\\nb",)),
    search("unknown key in markup", "[red]x[/red]=3", expected=("[red]",)),
    search("set inside a value", "trials.x=3", expected=("trials.x=3",)),
    search("mapping for a number", "trials={a: 1}", expected=("trials",)),
    search("bytes that are no UTF-8", os.fsdecode(b"name=\xff\xfe"), expected=("name", "UTF-8")),
    search("name with an escape", "name=\x1b[31mred", expected=("name",)),
    search("name with a turn of direction", "name=a\u202eb", expected=("name",)),
    search("name that leads out of runs", "name=../../x", "trials=0", expected=("trials",)),
    search("path is a device", "data.source=folder", "data.path=/dev/zero", expected=("data.path", "/dev/zero")),
    search("path is a pipe", "data.source=folder", "data.path=pipe", expected=("data.path",), make=fifo),
    search("path of 5,000 characters", "data.source=folder", f"data.path={'x' * 5_000}", expected=("data.path",)),
    search("path with an escape", "data.source=folder", "data.path=a\x1b[31mb", expected=("data.path",)),
    search("start is a device", "start.study=/dev/zero", expected=("start.study",)),
    search("start is a pipe", "start.study=pipe", expected=("start.study",), make=fifo),
    search("split is a device", "data.split.file=/dev/zero", expected=("split",)),
    search("groups are a pipe", "data.source=folder", "data.limit=null", "data.path=photos", "data.group_by=pipe.csv", expected=("group_by",), make=images_and_pipe),
    search("regular expression that is none", "data.group_by=(", expected=("group_by",)),
    search("space of 10^5 widths", f"space.stages.0.width=[{', '.join(map(str, range(1, 100_001)))}]", expected=("width",)),
    search("space without widths", "space.stages.0.width=[]", expected=("width",)),
    search("space without stages", "space.stages=[]", expected=("stages",)),
    search("space of 10^4 stages", f"space.stages=[{', '.join(['{mixer: conv}'] * 10_000)}]", expected=("stages",)),
    search("width 10^9", "space.stages.0.width=1000000000", expected=("width",)),
    search("depth 10^9", "space.stages.0.depth=1000000000", expected=("depth",)),
    search("kernel 10^9", "space.stages.0.mixer={conv: {k: 1000000001}}", expected=("conv.k",)),
    search("kernel that is negative", "space.stages.0.mixer={conv: {k: -1}}", expected=("conv.k",)),
    search("kernel that is infinite", "space.stages.0.mixer={conv: {k: .inf}}", expected=("conv.k",)),
    search("expansion 1e308", "space.stages.0.channel_mixer={mlp: {expansion: 1.0e308}}", expected=("expansion",)),
    search("mixer of an unknown name", "space.stages.0.mixer=__import__", expected=("mixer", "__import__")),
    search("mixer of 10^5 characters", f"space.stages.0.mixer={'x' * 100_000}", expected=("mixer",)),
    search("executor that is a module", "resources.executor=os", expected=("executor", "os")),
    search("executor that is a path", "resources.executor=../../x", expected=("executor",)),
    search("sampler that is a path", "sampler.name=/etc/passwd", expected=("sampler",)),
    search("source that is a path", "data.source=../x", expected=("source",)),
    search("timm source of a device", "data.source=timm/../../dev/zero", expected=("source",)),
    search("objective that is a path", "objectives=[../x]", expected=("objectives",)),
    search("10^9 workers", "resources.workers=1000000000", "resources.executor=local", expected=("resources.workers",)),
    search("10^9 CPUs", "resources.cpus_per_trial=1000000000", expected=("cpus_per_trial", "found 1000000000")),
    search("1,000 GPUs", "resources.gpus_per_trial=1000", expected=("gpus_per_trial",)),
    search("duration of 5,000 digits", f"time_budget={'9' * 5_000}s", expected=("time_budget",)),
    search("negative duration", "time_budget=-1h", expected=("time_budget",)),
    search("duration in Arabic digits", "time_budget=٣s", expected=("time_budget",)),
)  # fmt: skip

ADDRESSES = (
    search("address that is none", "resources.address=nowhere", expected=("address",)),
    search("address with a path", "resources.address=127.0.0.1:6379/../x", expected=("address",)),
    search("address with a port of 10^9", "resources.address=127.0.0.1:1000000000", expected=("address",)),
    search("address with a negative port", "resources.address=127.0.0.1:-1", expected=("address",)),
    search("address that is empty", "resources.address=", "trials=0", expected=("trials",)),
    search("address with a line end", "resources.address=a\nb:1", expected=("address",)),
    search("address with an option", "resources.address=--block", expected=("address",)),
    search("address that is a URL", "resources.address=http://127.0.0.1:1/", expected=("address",)),
)

OPTIONS = (
    word("trials 10^30", f"search study.yaml --trials {10**30}", "trials"),
    word("trials negative", "search study.yaml --trials -1", "trials"),
    word("trials text", "search study.yaml --trials many", "--trials"),
    word("trials in superscript", "search study.yaml --trials ²", "--trials"),
    word("trials of 5,000 digits", f"search study.yaml --trials {'9' * 5_000}", "--trials"),
    word("unknown option", "search study.yaml --evil", "--evil"),
    word("unknown command", "evil", "evil"),
    word("unknown command in markup", "'[red]evil[/red]'", "[red]evil"),
    word("two studies", "search study.yaml other.yaml", "other.yaml"),
    word("study of 5,000 characters", f"search {'y' * 5_000}.yaml", "yyy"),
    word("study with an escape", "search 'a\x1b[31mb.yaml'", "\\x1b"),
    word("folder with an escape", "status 'a\x1b[31mb'", "\\x1b"),
    word("folder with a line end", "status 'a\nb'", "a\\nb"),
    word("folder that turns the direction", "status 'a\u202eb'", "\\u202e"),
    word("folder in markup", "status '[red]x[/red]'", "[red]x[/red]"),
    word("folder of 300 characters", f"status {LONG}", LONG[:20]),
    word("folder of 5,000 characters", f"status {'y' * 5_000}", "yyy"),
    BadInput("folder of bytes that are no UTF-8", ("status", os.fsdecode(b"a\xff")), ("UTF-8",)),
    BadInput("out of bytes that are no UTF-8", ("report", "done", "--out", os.fsdecode(b"a\xff.html")), ("UTF-8",), base="done"),
    word("out is a device", "report done --out /dev/full", "/dev/full"),
    word("folder is a device", "status /dev/zero", "/dev/zero"),
    word("folder is a pipe", "status pipe", "pipe", make=fifo),
    word("folder is a link to itself", "status loop", "loop", make=link("loop", "loop")),
    word("out of a search is a device", "search study.yaml --out /dev/null", "/dev/null"),
    word("out of a search is a pipe", "search study.yaml --out pipe", "pipe", make=fifo),
    word("out of a search of 300 characters", f"search study.yaml --out {LONG}", LONG[:20]),
    word("show of no trial", "show done many", "many"),
    word("show in superscript", "show done ²", "²"),
    word("show of 5,000 digits", f"show done {'9' * 5_000}", "trial"),
    word("show with markup", "show done '[red]'", "[red]"),
    word("export of 10^30", f"export done {10**30} --out model", str(10**30)),
    word("export to a device", "export done 4 --out /dev/null", "/dev/null"),
    word("export without a trial", "export done --out model", "trial"),
    word("front as two", "front done --json --csv", "--json"),
    word("port -1", "dashboard done --port -1", "--port"),
    word("port 10^9", "dashboard done --port 1000000000", "--port"),
    word("port text", "dashboard done --port http", "--port"),
    word("host that is none", "dashboard done --host 256.256.256.256", "--host"),
    word("host of 5,000 characters", f"dashboard done --host {'a' * 5_000}", "--host"),
    word("host that is empty", "dashboard done --host ''", "--host"),
    word("host of another machine", "dashboard done --host 192.0.2.1", "--host"),
    word("dashboard of no folder", "dashboard nowhere", "nowhere"),
    word("dashboard of a device", "dashboard /dev/zero", "/dev/zero"),
    word("dashboard without a word", "dashboard", "DIR"),
    word("storage that is no URL", "dashboard --storage nonsense", "storage"),
    word("storage of an unknown kind", f"dashboard --storage evil://me:{PASSWORD}@host/db", "evil"),
    word("storage of a module", f"dashboard --storage os.system://me:{PASSWORD}@host/db", "storage"),
    word("storage of a file that is missing", "dashboard --storage sqlite:///nowhere.db", "nowhere.db"),
    word("storage in memory", "dashboard --storage sqlite://", "storage"),
    word("storage of a SQLite URI", "dashboard --storage 'sqlite:///file:x?mode=rwc&uri=true'", "storage"),
    word("storage of a device", "dashboard --storage sqlite:////dev/zero", "/dev/zero"),
    word("storage that is a pipe", "dashboard --storage sqlite:///pipe", "pipe", make=fifo),
    word("storage of a server that does not answer", f"dashboard --storage postgresql://me:{PASSWORD}@127.0.0.1:1/db", "postgresql"),
    word("storage with a port that is none", f"dashboard --storage postgresql://me:{PASSWORD}@host:port/db", "storage"),
    word("storage with a broken password", f"dashboard --storage 'postgresql://me:{PASSWORD}@@[::1/db'", "storage"),
    word("storage of a web page", f"dashboard --storage https://me:{PASSWORD}@example.org/", "https"),
    word("fidelity of 10^30", f"fidelity study.yaml --sample {10**30} --out runs", "sample"),
    word("fidelity of a negative sample", "fidelity study.yaml --sample -5", "sample"),
    word("fidelity of a multiple that is not finite", "fidelity study.yaml --multiple nan", "--multiple"),
    word("fidelity of an infinite multiple", "fidelity study.yaml --multiple inf", "--multiple"),
    word("fidelity of a huge multiple", "fidelity digits --multiple 1e300", "--multiple"),
    word("fidelity without seeds", "fidelity study.yaml --seeds 0", "--seeds"),
    word("measurements of 10^30", f"bench throughput study.yaml --sample {10**30}", "--sample"),
    word("measurements with infinite seconds", "bench throughput digits --operators-s inf", "--operators-s"),
    word("measurements on another device", "bench throughput study.yaml --device 'cuda:²'", "device"),
    word("measurements of a batch of 10^30", f"bench throughput digits --batch-size {10**30}", "--batch-size"),
    word("10^9 threads", "bench throughput digits --threads 1000000000", "--threads"),
    word("10^9 trainings beside", "bench throughput digits --beside 1000000000", "--beside"),
    word("benchmark of 10^9 seeds", "bench search --table nowhere.csv --seeds 1000000000", "--seeds"),
    word("benchmark of 10^9 processes", "bench search --table nowhere.csv --jobs 1000000000", "--jobs"),
    word("benchmark of 10^9 workers", "bench search --table nowhere.csv --workers 1000000000", "--workers"),
    word("fidelity of 10^9 seeds", "fidelity digits --seeds 1000000000", "--seeds"),
    word("image size 10^30", f"init new.yaml --image-size {10**30}", "--image-size"),
    word("init to a device", "init /dev/null", "/dev/null"),
    word("init to a pipe", "init pipe", "pipe", make=fifo),
    word("init of 300 characters", f"init {LONG}.yaml", LONG[:20]),
    word("data of a device", "data /dev/zero", "/dev/zero"),
    word("data of a pipe", "data pipe", "pipe", make=fifo),
    word("data of a URL", "data http://127.0.0.1:1/x", "http"),
    word("data with an escape", "data 'a\x1b[31m'", "\\x1b"),
    word("data of 5,000 characters", f"data {'y' * 5_000}", "yyy"),
)  # fmt: skip
ROWS = (*OVERRIDES, *ADDRESSES, *OPTIONS)
