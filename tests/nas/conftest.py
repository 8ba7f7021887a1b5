"""For the tests of the reading side: studies on disk (real Optuna storages, as `nas search` writes them), and a browser."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import math
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
import typer.main
from alembic.script import ScriptDirectory
from optuna.distributions import CategoricalDistribution
from optuna.storages._rdb.models import TrialUserAttributeModel
from optuna.trial import FrozenTrial, TrialState
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from nas.cli.main import main
from nas.objectives import get
from nas.study.config import StudyConfig
from nas.study.database.storage import DATABASE
from nas.study.layout import CONFIG
from search_space import Architecture
from search_space.costs import cost

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    # The popups of the address bar, two hidden pages in each new window, take more than half of the time of opening one. The
    # last of these flags counts: the others are those of Playwright.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,AvoidUnnecessaryBeforeUnloadCheckSync,"
    "DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LensOverlay,MediaRouter,PaintHolding,"
    "ThirdPartyStoragePartitioning,OptimizationHints,NetworkTimeServiceQuerying,PreconnectToSearch,AimEnabled",
)  # fmt: skip
MIXERS: tuple[dict[str, Any], ...] = (
    {"name": "conv", "k": 5, "groups": "depthwise"},
    {"name": "attention", "heads": 4},
    {"name": "pool"},
    {"name": "shift", "kind": "shiftvit"},
    {"name": "global_filter"},
)
DATASET = {
    "name": "digits",
    "fingerprint": "f00d",
    "image_size": [8, 8],
    "in_chans": 1,
    "num_classes": 10,
    "class_names": [str(digit) for digit in range(10)],
    "train": 1077,
    "val": 360,
    "test": 360,
}


def architecture_of(index: int) -> dict[str, Any]:
    """The `index`-th of many different architectures of two stages, as the study stores it."""
    width = 16 * (1 + index % 6)
    stages = [
        {
            "mixer": MIXERS[(index // (1 + 4 * late)) % len(MIXERS)],
            "channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [4, 2]},
            "depth": 1 + (index + late) % 4,
            "width": width * (1 + late),
            "downsample": 1 + late,
        }
        for late in (0, 1)
    ]
    described = {"image_size": [8, 8], "in_chans": 1, "num_classes": 10, "stem": {"patch": 2}, "stages": stages}
    return Architecture.from_dict(described).to_dict()


@dataclass
class StoredTrial:
    """A trial to write into a study.

    Args:
        values: of the objectives; None for a trial without values.
        state: Optuna's state; None for complete if there are values, else running.
        attributes: user attributes.
        constraints: Optuna's constraints.
    """

    values: list[float] | None
    state: TrialState | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)


def random_trials(count: int, seed: int = 0) -> list[StoredTrial]:
    """Trials (accuracy, macs, images_per_s): of each 12, one failed, refused, duplicate and stopped, the others complete."""
    rng = np.random.default_rng(seed)
    trials: list[StoredTrial] = []
    for index in range(count):
        macs = float(round(10 ** rng.uniform(4.5, 7)))
        accuracy = float(np.clip(0.75 + 0.1 * (np.log10(macs) - 5) + rng.normal(0, 0.03), 0, 1))
        speed = float(1e10 / macs**0.8 * rng.uniform(0.5, 1.5))
        attributes = {
            "architecture": architecture_of(index),
            "id": f"{index:012x}",
            "macs": macs,
            "fft_flops": 0,
            "params": round(macs / 20),
            "device": "cpu",
            "seed": index,
        }
        trained = {
            "images_per_s": speed,
            "train_s": 4.0,
            "wall_s": 5.0,
            "overhead_s": 0.6,
            "idle_s": 0.2,
            "curve": [
                {"epoch": 1 + e, "train_loss": 2.0 / (1 + e), "val_loss": 2.1 / (1 + e),
                 "val_accuracy": accuracy * (1 - 0.5 ** (1 + e)), "wall_s": 1.0 + e}
                for e in range(4)
            ],
        }  # fmt: skip
        match index % 12:
            case 5:
                trials.append(
                    StoredTrial(None, TrialState.FAIL, attributes | {"failure": "loss is <NaN> at epoch 2 & ended"})
                )
            case 7:
                trials.append(StoredTrial(None, TrialState.PRUNED, attributes | {"refused": "limit macs: 5000 > 4000"}))
            case 9:
                trials.append(StoredTrial(None, TrialState.FAIL, attributes | {"refused": "duplicate of trial 3"}))
            case 11:
                trials.append(StoredTrial(None, TrialState.PRUNED, attributes | trained))
            case _:
                trials.append(StoredTrial([accuracy, macs, speed], None, attributes | trained))
    return trials


@functools.cache
def _storage() -> tuple[optuna.storages.RDBStorage, sqlite3.Connection]:
    """Optuna's storage in memory, and a database of the same tables without a study."""
    pool = {"poolclass": sqlalchemy.pool.StaticPool, "connect_args": {"check_same_thread": False}}
    storage, empty = optuna.storages.RDBStorage("sqlite://", engine_kwargs=pool), sqlite3.connect(":memory:")
    with storage.engine.connect() as opened:
        opened.connection.driver_connection.backup(empty)
    return storage, empty


def empty_storage() -> optuna.storages.RDBStorage:
    """Optuna's storage in memory without a study. It is made once: its tables and statements take longer than the rows."""
    storage, empty = _storage()
    with storage.engine.connect() as opened:
        empty.backup(opened.connection.driver_connection)
    return storage


def store(study: optuna.Study, trials: list[FrozenTrial], folder: Path) -> None:
    """Write `study`, whose storage is `empty_storage()`, with `trials` into `folder`."""
    described = [trial.user_attrs for trial in trials]
    for trial in trials:
        trial.user_attrs = {}  # Optuna writes one after the other, which takes most of the time
    study.add_trials(trials)
    rows = [
        {"trial_id": number, "key": key, "value_json": json.dumps(value)}
        for number, values in enumerate(described, 1)
        for key, value in values.items()
    ]
    with _storage()[0].engine.connect() as opened, closing(sqlite3.connect(folder / DATABASE)) as file:
        if rows:
            opened.execute(sqlalchemy.insert(TrialUserAttributeModel), rows)
            opened.commit()
        opened.connection.driver_connection.backup(file)


def write_study(
    folder: Path,
    trials: Iterable[StoredTrial] = (),
    *,
    objectives: tuple[str, ...] = ("accuracy", "macs", "images_per_s"),
    name: str = "digits",
    dataset: dict[str, Any] | None = None,
    **attributes: Any,
) -> Path:
    """A study in `folder` with `trials` in this order; `attributes` are further attributes of the study."""
    folder.mkdir(parents=True, exist_ok=True)
    directions = [get(objective).direction for objective in objectives]
    study = optuna.create_study(study_name=name, storage=empty_storage(), directions=directions)
    study.set_user_attr("objectives", [get(objective).to_dict() for objective in objectives])
    study.set_user_attr("config", {"name": name, "seed": 7, "sampler": {"name": "tpe"}, "train": {"epochs": 4}})
    study.set_user_attr("dataset", dataset or DATASET)
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    memory = optuna.create_study(directions=directions)  # in memory first, since SQLite syncs every attribute
    for stored in trials:
        trial = memory.ask()
        for key, value in stored.attributes.items():
            trial.set_user_attr(key, value)
        for key, value in stored.constraints.items():
            trial.set_constraint(key, value)
        if stored.values is not None or stored.state is not None:
            memory.tell(trial, stored.values, state=stored.state)
    store(study, memory.trials, folder)
    return folder


@pytest.fixture(scope="session")
def study_writer() -> Callable[..., Path]:
    """`write_study`, for tests that write their own study."""
    return write_study


def document_in(page: str) -> dict[str, Any]:
    """The document of the study in the text of a report."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page)
    assert found is not None
    (entry,) = json.loads(found[1])["documents"].values()
    document: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(entry["packed"])))
    return document


@pytest.fixture(scope="session")
def report_document() -> Callable[[str], dict[str, Any]]:
    """`document_in`."""
    return document_in


def write_small_study(folder: Path, trials: int) -> Path:
    """The file of a study in `folder` whose search of so many trials takes seconds and needs no Ray."""
    file = folder / "study.yaml"
    file.write_text(f"""\
name: small
trials: {trials}
data: {{source: digits, limit: 200}}
space:
  stem: {{patch: 4}}
  stages: [{{mixer: {{conv: {{k: [3, 5]}}, pool: null}}, depth: [1, 2], width: [8, 16]}}]
train: {{epochs: 1}}
objectives: [accuracy, macs]
resources: {{executor: local, workers: 1}}
""")
    return file


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    """What each study and each command makes anew, and what is the same in all of them, is made once in a process.

    Alembic reads Optuna's migrations (15 modules) for each new database, and typer makes all commands for each that is run.
    """
    read, scripts = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def from_config(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in scripts:
            scripts[place] = read(config)
        return scripts[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", staticmethod(from_config))
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session")
def small_study_writer() -> Callable[..., Path]:
    """`write_small_study`, for tests that search."""
    return write_small_study


@pytest.fixture(scope="session")
def stored_trial() -> type[StoredTrial]:
    """`StoredTrial`, for tests that write their own trials."""
    return StoredTrial


@pytest.fixture(scope="session")
def architecture() -> Callable[[int], dict[str, Any]]:
    """`architecture_of`."""
    return architecture_of


@pytest.fixture(scope="session")
def digits_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 36 trials in all states, trial 36 still running; the tests only read it."""
    folder = tmp_path_factory.mktemp("studies") / "digits"
    trials = [
        *random_trials(36),
        StoredTrial(None, None, {"architecture": architecture_of(36), "id": "run", "macs": 1e6}),
    ]
    return write_study(folder, trials, test_accuracy={"0": 0.71, "4": 0.82})


@pytest.fixture(scope="session")
def empty_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study without trials."""
    return write_study(tmp_path_factory.mktemp("studies") / "empty", name="nothing yet")


CLC_STAGE = {
    "mixer": {"name": "conv", "k": 3, "groups": 16, "interlace": True},
    "channel_mixer": {"name": "pointwise", "groups": 4},
    "width": 64,
    "residual": "plain",
}
MLP_STAGE = {
    "mixer": {"name": "conv"},
    "channel_mixer": {"name": "mlp", "expansion": 2.0, "groups": [8, 8]},
    "width": 32,
}
DENSE_STAGE = {"mixer": {"name": "attention", "heads": 4}, "width": 64, "downsample": 2, "squeeze_excite": {}}


@pytest.fixture(scope="session")
def graph_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three architectures with various channel graphs: trial 1 the best, 0 on the front too, 2 dominated."""
    stages = [[CLC_STAGE, DENSE_STAGE], [MLP_STAGE, MLP_STAGE, CLC_STAGE], [DENSE_STAGE]]
    values = [[0.5, 10.0, 3.0], [0.6, 20.0, 2.0], [0.4, 30.0, 1.0]]
    trials = [
        StoredTrial(value, None, {"architecture": Architecture.from_dict({"stages": described}).to_dict()})
        for value, described in zip(values, stages, strict=True)
    ]
    return write_study(tmp_path_factory.mktemp("studies") / "graphs", trials)


@dataclass
class PageVisit:
    """A page in the browser, with the requests it made and the errors it logged."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._add_request)
        self.page.on("console", self._add_message)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _add_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _add_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def wait_for(self, expression: str) -> None:
        """Wait until the JavaScript `expression` is true (`wait_for_function` needs `eval`, which the page's policy forbids)."""
        deadline = time.monotonic() + 20
        while not self.page.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"still false: {expression}"
            self.page.wait_for_timeout(20)

    def check_quiet(self) -> None:
        """Assert that nothing but the file itself was requested, and that no script failed."""
        remote = [url for url in self.requests if not url.startswith(("data:", "blob:"))]
        assert [url.partition(":")[0] for url in remote] == ["file"]
        assert self.errors == []


@pytest.fixture(scope="session")
def page_visit() -> type[PageVisit]:
    """`PageVisit`, for tests that open pages in their own way."""
    return PageVisit


@pytest.fixture(scope="session")
def random_study_trials() -> Callable[..., list[StoredTrial]]:
    """`random_trials`."""
    return random_trials


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; install it with `apt-get install chromium`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def visit(browser: Browser) -> Iterator[Callable[..., PageVisit]]:
    """Opens an HTML file in the browser and waits until its figures are drawn."""
    pages: list[Page] = []

    def open_file(file: Path, color_scheme: Any = "light", figures: int = 1) -> PageVisit:
        page = browser.new_page(viewport={"width": 1500, "height": 1200}, color_scheme=color_scheme)
        pages.append(page)
        opened = PageVisit(page)
        page.goto(file.as_uri())
        opened.wait_for(f"document.querySelectorAll('.js-plotly-plot .main-svg').length >= {figures}")
        return opened

    yield open_file
    for page in pages:
        page.close()


RUNGS = (1, 3, 9)
WORKERS = ("node1/cuda:0/11", "node1/cuda:1/12", "node2/cuda:0/13")


def _halved_trial(number: int, rng: np.random.Generator, start: float) -> FrozenTrial:
    """A trial of a study with rungs: a third each trained to 1, 3 and 9 epochs; of each 15, one failed."""
    epochs, fails = RUNGS[number % 3], number % 15 == 4
    params = {"stages.0.mixer": ("conv", "pool", "attention")[number % 7 % 3], "stages.1.mixer": "<b>conv</b>"}
    params |= {"stages.0.width": (16, 32)[number % 2], "stem.patch": (1, 2, 4)[number // 3 % 3]}
    macs = float(round(10 ** rng.uniform(4, 6))) * params["stages.0.width"] / params["stem.patch"]
    accuracy = float(np.clip(0.4 + 0.1 * np.log10(macs / 1e4) + rng.normal(0, 0.05), 0, 1))
    speed, train_s = float(1e10 / macs * rng.uniform(0.5, 2)), 2.0 * epochs
    seconds = {"train_s": train_s, "wall_s": train_s * 1.25 + 3, "overhead_s": 3.0, "idle_s": 0.5}
    segment = {"worker": WORKERS[number % 3], "start": start, "end": start + seconds["wall_s"], "measure_s": 1.0,
               "train_s": train_s, "validate_s": train_s / 4, "until": epochs, "outcome": "completed"}  # fmt: skip
    lost = [segment | {"start": start - 5, "end": None, "outcome": "lost"}] if number == 7 else []
    attributes = {
        "architecture": architecture_of(number), "id": f"{number:012x}", "macs": macs, "device": "H100", "until": epochs,
        "images_per_s": speed, "segments": [*lost, segment], **seconds,
        "predicted": {"accuracy": [accuracy + 0.01, accuracy - 0.02, accuracy + (0.03 if number % 2 else -0.01)]},
        "curve": [] if fails else [{"epoch": 1 + e, "val_accuracy": accuracy, "wall_s": 2.5} for e in range(epochs)],
    }  # fmt: skip
    states = {1: TrialState.PRUNED, 3: TrialState.PRUNED, 9: TrialState.COMPLETE}
    if fails:
        attributes["failure"] = f"CUDA out of memory <img src=x onerror=alert(1)> {number}"
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.FAIL if fails else states[epochs],
        value=None,
        values=None if fails or epochs < 9 else [accuracy, macs, speed],
        datetime_start=datetime.fromtimestamp(start),
        datetime_complete=datetime.fromtimestamp(start + seconds["wall_s"]),
        params=params,
        distributions={name: CategoricalDistribution(_HALVED_CHOICES[name]) for name in params},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={} if fails else {rung: accuracy for rung in RUNGS if rung <= epochs and rung < 9},
    )


_HALVED_CHOICES: dict[str, tuple[Any, ...]] = {
    "stages.0.mixer": ("conv", "pool", "attention"),
    "stages.1.mixer": ("<b>conv</b>",),
    "stages.0.width": (16, 32),
    "stem.patch": (1, 2, 4),
}


@pytest.fixture(scope="session")
def halving_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 60 trials with rungs, segments, predictions and choices, which did not end in the order of numbers."""
    folder = write_study(
        tmp_path_factory.mktemp("studies") / "halving",
        name="<i>halving</i>",
        target={"trials": 80, "time_budget_s": None, "since": 1.7e9, "workers": 3},
        space_size="4000",
    )
    rng = np.random.default_rng(3)
    starts = 1.7e9 + 40.0 * rng.permutation(60)
    study = optuna.load_study(study_name="<i>halving</i>", storage=f"sqlite:///{folder / DATABASE}")
    study.add_trials([_halved_trial(number, rng, float(start)) for number, start in enumerate(starts)])
    return folder


def show_panel(opened: PageVisit, panel: str, query: str = "") -> None:
    """Go to a panel of an opened page, with values of the address, and wait until it is drawn."""
    opened.page.evaluate(
        "view => { location.hash = `#/${encodeURIComponent(state.study)}/${view}`; }", f"{panel}?{query}"
    )
    opened.page.wait_for_selector(f"#panel-{panel}:not([hidden])")
    opened.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


@pytest.fixture(scope="session")
def go_to() -> Callable[..., None]:
    """`show_panel`, for tests that share an opened page."""
    return show_panel


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server in this process, which has the bucket `bucket`."""
    from moto.server import ThreadedMotoServer  # here: few tests need it, and it takes a second

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL of its own for each test on the S3 server, which the environment names, with credentials."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tester")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if not system.exists("bucket"):
        system.mkdir("bucket")
    return f"s3://bucket/study-{time.monotonic_ns()}"


@pytest.fixture
def nas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `nas` with words in this process, in an empty folder: the start of another would take longer than most commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess(sys.argv, ended.value.code, *capsys.readouterr())

    return run


NOISY_STUDY = """\
data: {source: digits}
space:
  stages: [{mixer: {conv: {k: [3, 5, 7]}, pool: null}, depth: [1, 2, 3, 4], width: [8, 16, 24, 32, 48, 64]}]
objectives: [accuracy, macs]
sampler: {name: random}
"""
NOISE = 0.02  # standard deviation of the accuracy of one training of it


def _write_noisy_study(folder: Path, trials: int) -> Path:
    """A study of random architectures whose accuracy grows with the MACs, but for the noise of a training."""
    folder.mkdir()
    (folder / CONFIG).write_text(NOISY_STUDY)
    config = StudyConfig.from_file(folder / CONFIG)
    space, noise = config.space_on((8, 8), 1, 10), np.random.default_rng(0)
    # In memory first, since SQLite syncs each write.
    memory = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=5))
    for _ in range(trials):
        trial = memory.ask()
        architecture = space.suggest(trial)
        macs = cost(architecture).macs
        trial.set_user_attr("architecture", architecture.to_dict())
        trial.set_user_attr("id", architecture.id)
        memory.tell(trial, (0.5 + 0.1 * math.log10(macs / 1e4) + NOISE * noise.normal(), macs))
    study = optuna.create_study(study_name="noisy", storage=empty_storage(), directions=memory.directions)
    study.set_user_attr("objectives", [get(name).to_dict() for name in config.objectives])
    study.set_user_attr("config", config.model_dump(mode="json"))
    study.set_user_attr("dataset", DATASET)
    store(study, memory.trials, folder)
    return folder


@pytest.fixture(scope="session")
def write_noisy_study() -> Callable[..., Path]:
    """Writes a study whose results are noisy, with its configuration: (folder, trials) -> folder."""
    return _write_noisy_study


@pytest.fixture(scope="session")
def noisy_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A noisy study of 40 trials."""
    return _write_noisy_study(tmp_path_factory.mktemp("studies") / "noisy", 40)
