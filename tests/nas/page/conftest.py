"""A study whose trials have choices, and pages of studies in the browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from playwright.sync_api import Browser

from nas.dashboard.addresses import open_socket
from nas.dashboard.hub import Hub
from nas.dashboard.server import create_server
from nas.report.page import KEY, write
from nas.study.database.storage import DATABASE
from nas.study.layout import trial_folder, write_error
from search_space import Architecture, cost

CHOICES: dict[str, tuple[Any, ...]] = {
    "stages.0.mixer": ("conv", "pool"),
    "stages.0.conv.k": (3, 5),
    "stages.0.depth": (1, 2),
    "stages.0.width": (16, 32),
}
TRIALS: tuple[tuple[str, int | None, int, int, float, float], ...] = (  # mixer, k, depth, width, accuracy, images/s
    ("conv", 3, 1, 16, 0.80, 4000.0),
    ("conv", 5, 1, 16, 0.83, 3500.0),
    ("conv", 5, 2, 16, 0.82, 2000.0),  # beaten by trial 1
    ("pool", None, 1, 16, 0.70, 6000.0),
    ("conv", 5, 2, 32, 0.90, 1000.0),
    ("pool", None, 2, 16, 0.0, 0.0),  # failed
)


def _architecture(mixer: str, k: int | None, depth: int, width: int) -> Architecture:
    described = {"name": mixer} | ({"k": k} if k else {})
    stages = [{"mixer": described, "depth": depth, "width": width}, {"mixer": "pool", "width": 32, "downsample": 2}]
    return Architecture.from_dict({"image_size": [8, 8], "in_chans": 1, "stem": {"patch": 2}, "stages": stages})


@pytest.fixture(scope="session")
def choice_study(tmp_path_factory: pytest.TempPathFactory, study_writer: Callable[..., Path]) -> Path:
    """A study of `TRIALS` with choices, curves and intervals; trial 5 failed, trial 1 has a note, 0 and 4 are pinned."""
    folder = tmp_path_factory.mktemp("studies") / "choices"
    study_writer(folder, name="choices", notes={"1": "<b>remember</b>"}, pins=[0, 4])
    study = optuna.load_study(study_name="choices", storage=f"sqlite:///{folder / DATABASE}")
    for number, (mixer, k, depth, width, accuracy, speed) in enumerate(TRIALS):
        architecture = _architecture(mixer, k, depth, width)
        values = {"stages.0.mixer": mixer, "stages.0.depth": depth, "stages.0.width": width}
        values |= {"stages.0.conv.k": k} if k else {}
        macs = cost(architecture).macs
        attributes: dict[str, Any] = {
            "architecture": architecture.to_dict(),
            "id": architecture.id,
            "macs": macs,
            "params": cost(architecture).params,
            "seed": number,
        }
        failed = accuracy == 0.0
        attributes |= {"failure": "<script>alert(1)</script> out of memory"} if failed else {
            "images_per_s": speed,
            "throughput": {"images_per_s_interval": [0.9 * speed, 1.1 * speed], "batch_size": 16},
            "predicted": {"accuracy": [accuracy - 0.01, accuracy - 0.03, accuracy + 0.01]},
            "curve": [
                {"epoch": e, "train_loss": 2.0 / e, "val_loss": 2.1 / e, "val_accuracy": accuracy * (1 - 0.5**e)}
                for e in range(1, 6)
            ],
            "wall_s": 5.0 + number,
            "train_s": 4.0,
        }  # fmt: skip
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                values=None if failed else [accuracy, macs, speed],
                params=values,
                distributions={name: CategoricalDistribution(CHOICES[name]) for name in values},
                user_attrs=attributes,
            )
        )
    write_error(trial_folder(folder, 5), 'Traceback (most recent call last):\n  File "<x>"\nMemoryError: <img src=x>\n')
    return folder


@contextmanager
def report_page(study: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """The address of the report of `study`, and the key of the study in it."""
    yield write(study, folder / f"{study.name}.html").as_uri(), KEY


@contextmanager
def dashboard_page(study: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a dashboard of `study` that runs in this process, and the key of the study in it."""
    listening, address = open_socket("127.0.0.1", 0)
    server = create_server(Hub([study], []), address, None)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        with urlopen(f"http://127.0.0.1:{address.port}/api/studies") as answer:
            (entry,) = json.load(answer)["studies"]
        yield f"http://127.0.0.1:{address.port}/", entry["key"]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


FRONT_ENDS = {"report": report_page, "dashboard": dashboard_page}


@pytest.fixture(scope="module")
def front_end(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """What shows studies: the report; modules may name others of `FRONT_ENDS` by an indirect parameter."""
    return FRONT_ENDS[getattr(request, "param", "report")]


@pytest.fixture(scope="module")
def opened_study(
    front_end: Callable[..., Any],
    browser: Browser,
    page_visit: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Any]]:
    """Opens the page of the study in a folder at a view, such as "front?x=macs", and waits until it is drawn.

    Each study has one page of the browser; it is loaded again only with `reload`, otherwise its address changes.
    """
    folder = tmp_path_factory.mktemp("pages")
    opened: dict[Path, tuple[Any, str, str]] = {}
    frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 10))))"
    with ExitStack() as stack:

        def open_study(study: Path, view: str = "front", *, reload: bool = False) -> Any:
            is_new = study not in opened
            if is_new:
                page = stack.enter_context(browser.new_context(viewport={"width": 1500, "height": 1200})).new_page()
                opened[study] = page_visit(page), *stack.enter_context(front_end(study, folder))
            visit, address, key = opened[study]
            if is_new or reload:
                visit.page.goto("about:blank")
                visit.page.goto(f"{address}#/{key}/{view}")
            else:
                visit.page.evaluate("(hash) => { location.hash = hash; }", f"#/{key}/{view}")
            visit.wait_for("document.querySelector('main section.panel:not([hidden])')")
            visit.page.evaluate(frames)
            return visit

        yield open_study
