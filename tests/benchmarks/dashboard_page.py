"""What a person sees of the dashboard, measured in a real browser, beside optuna-dashboard on the same study.

    python tests/benchmarks/dashboard_page.py page runs/large                      # a study, for example of dashboard_study.py
    python tests/benchmarks/dashboard_page.py page runs/large --rival BIN/optuna-dashboard
    python tests/benchmarks/dashboard_page.py search --trials 40 --repeats 3       # does a search notice three open pages?

`page` works on a copy of the study and prints medians over `--repeats`: seconds from the start of the server's process to the
first front drawn (a sketch) and to its figure, without and with its cache of columns; from the choice of a trial to its detail;
from the moment that the storage has a new trial to the moment that the page shows it; the memory of the server's process; the
bytes that the browser received, its requests to other hosts and the errors in its console. The browser runs before the clock
starts. `--rival` measures the first front and the memory of optuna-dashboard in the same way.

`search` runs the same search alternately alone and with three pages of its dashboard open, and prints trials per hour of both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from playwright.sync_api import Browser, Page, sync_playwright

from nas.study.database.storage import DATABASE, open_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
VIEW: Any = {"width": 1440, "height": 900}
FRONT_DRAWN = "document.querySelector('#panel-front canvas.sketch, #panel-front .js-plotly-plot .points path') !== null"
FIGURE_DRAWN = "document.querySelector('#panel-front .js-plotly-plot .points path') !== null"
RIVAL_DRAWN = """[...document.querySelectorAll('.js-plotly-plot')].some(
  (div) => div._fullLayout && div.data.reduce((points, {x}) => points + (x ? x.length : 0), 0) > 1000)"""
MAX_WAIT_S = 300


def free_port() -> int:
    """A port that no server listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `command`, ended afterwards."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for_port(port: int) -> None:
    """Wait until something listens on `port`."""
    deadline = time.perf_counter() + MAX_WAIT_S
    while time.perf_counter() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on port {port}")


def memory_mb(process: subprocess.Popen[bytes], name: str) -> float:
    """The memory of `process` by the field `name` of its status: VmRSS (now) or VmHWM (the most so far)."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


@dataclass
class Watch:
    """The traffic and the errors of a page."""

    page: Page
    errors: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    received_bytes: int = 0

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._add(request.url))
        session = self.page.context.new_cdp_session(self.page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", self._count)
        session.on("Network.dataReceived", lambda event: None)

    def _add(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:")):
            self.remote.append(url)

    def _count(self, event: dict[str, Any]) -> None:
        self.received_bytes += int(event["encodedDataLength"])


def wait_for(page: Page, expression: str) -> None:
    """Wait until `expression` is true; playwright's own way needs `eval` in the page, which its policy forbids."""
    deadline = time.perf_counter() + MAX_WAIT_S
    while not page.evaluate(expression):
        if time.perf_counter() > deadline:
            raise TimeoutError(f"still false: {expression}")
        page.wait_for_timeout(5)


def open_page(browser: Browser, url: str, drawn: str) -> tuple[Page, Watch]:
    """A new page at `url`, once the expression `drawn` is true."""
    page = browser.new_page(viewport=VIEW)
    watch = Watch(page)
    page.goto(url, wait_until="commit")
    wait_for(page, drawn)
    return page, watch


def measure_start(
    browser: Browser, command: Callable[[int], list[str]], path: str, drawn: str, figure: str
) -> dict[str, float]:
    """Seconds from the start of a server to the first front drawn, and to its figure; the memory of the server then."""
    port = free_port()
    start = time.perf_counter()
    with server(command(port)) as process:
        wait_for_port(port)
        page, watch = open_page(browser, f"http://127.0.0.1:{port}{path}", drawn)
        seconds = time.perf_counter() - start
        wait_for(page, figure)
        figure_s = time.perf_counter() - start
        page.wait_for_timeout(1500)
        figures = {
            "s": seconds,
            "figure_s": figure_s,
            "rss_mb": memory_mb(process, "VmRSS"),
            "peak_mb": memory_mb(process, "VmHWM"),
        }
        page.close()
    return {**figures, "bytes": watch.received_bytes, "errors": len(watch.errors), "remote": len(watch.remote)}


def measure_clicks(page: Page, repeats: int) -> list[float]:
    """Seconds from choosing a trial of the front to its architecture drawn in the drawer."""
    trials = page.evaluate("[...app.view.study.front].slice(0, 50)")
    seconds = []
    for trial in trials[:repeats]:
        title = f"document.querySelector('#drawer h2')?.textContent.includes('{trial}')"
        ready = f"{title} && document.querySelector('#drawer .stage') !== null"
        start = time.perf_counter()
        page.evaluate(f"app.view.select({trial})")
        wait_for(page, ready)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_new_trials(page: Page, folder: Path, repeats: int) -> list[float]:
    """Seconds from the moment that the storage has a new complete trial to the moment that the page shows it."""
    study = open_study(folder)
    storage, identity = study._storage, study._study_id
    last = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])[-1]
    template = optuna.trial.create_trial(
        values=last.values, params=last.params, distributions=last.distributions, user_attrs=last.user_attrs
    )
    seconds = []
    for _ in range(repeats):
        before = page.evaluate("app.view.study.count")
        storage.create_new_trial(identity, template)
        start = time.perf_counter()
        wait_for(page, f"app.view.study.count > {before}")
        seconds.append(time.perf_counter() - start)
        page.wait_for_timeout(700)
    return seconds


def copy_study(folder: Path, target: Path) -> Path:
    """A copy of the study's database and small files, without its cache of columns."""
    target.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.suffix in (".db", ".yaml", ".json"):
            shutil.copy(file, target)
    return target


def own_command(folder: Path) -> Callable[[int], list[str]]:
    """The command of the dashboard of `folder` by port."""
    return lambda port: [sys.executable, "-m", "nas", "dashboard", str(folder), "--port", str(port)]


def benchmark_page(options: argparse.Namespace, browser: Browser) -> dict[str, Any]:
    """The measures of `page`."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        cold, warm = [], []
        for repeat in range(options.repeats):
            folder = copy_study(options.study, Path(scratch) / f"study{repeat}")
            cold.append(measure_start(browser, own_command(folder), "/", FRONT_DRAWN, FIGURE_DRAWN))
            warm.append(measure_start(browser, own_command(folder), "/", FRONT_DRAWN, FIGURE_DRAWN))
        results["cold"], results["warm"] = medians(cold), medians(warm)
        port = free_port()
        with server(own_command(folder)(port)) as process:
            wait_for_port(port)
            page, watch = open_page(browser, f"http://127.0.0.1:{port}/", FIGURE_DRAWN)
            results["detail_s"] = spread(measure_clicks(page, 20))
            results["new_trial_s"] = spread(measure_new_trials(page, folder, 8))
            results["peak_mb"] = memory_mb(process, "VmHWM")
            results["errors"], results["remote"] = watch.errors, watch.remote
            page.close()
        if options.rival:
            results["rival"] = medians(
                [measure_rival(browser, options.rival, folder) for _ in range(min(options.repeats, 2))]
            )
    return results


def measure_rival(browser: Browser, program: Path, folder: Path) -> dict[str, float]:
    """The first front and the memory of optuna-dashboard."""

    def command(port: int) -> list[str]:
        return [str(program), f"sqlite:///{folder / DATABASE}", "--port", str(port), "--host", "127.0.0.1"]

    return measure_start(browser, command, "/dashboard/studies/1", RIVAL_DRAWN, RIVAL_DRAWN)


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: round(median(row[name] for row in rows), 3) for name in rows[0]}


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and maximum."""
    return {"median": round(median(seconds), 3), "max": round(max(seconds), 3)}


def run_search(folder: Path, trials: int, overrides: list[str]) -> None:
    """Search into `folder` until the study has so many `trials`."""
    command = [sys.executable, "-m", "nas", "search", "digits", f"trials={trials}", "--out", str(folder), *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def timed_search(folder: Path, options: argparse.Namespace) -> float:
    """Trials per hour of a study that exists, from the first new trial's start to the last one's end."""
    before = len(open_study(folder).trials)
    run_search(folder, options.trials, options.overrides)
    trials = open_study(folder).get_trials(deepcopy=False)[before:]
    seconds = max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)  # type: ignore[type-var,operator]
    return 3600 * len(trials) / seconds.total_seconds()


@contextmanager
def watching_pages(folder: Path, browser: Browser, number: int) -> Iterator[None]:
    """So many pages of a dashboard of the study in `folder`, all drawn; a browser shows each in a window of its own."""
    port = free_port()
    with server(own_command(folder)(port)):
        wait_for_port(port)
        pages = [open_page(browser, f"http://127.0.0.1:{port}/", FRONT_DRAWN)[0] for _ in range(number)]
        yield
        for page in pages:
            page.close()


def benchmark_search(options: argparse.Namespace, browser: Browser) -> dict[str, Any]:
    """Trials per hour alone and with three pages open, alternately."""
    rates: dict[str, list[float]] = {"alone": [], "watched": []}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(options.repeats):
            for name, values in rates.items():
                folder = Path(scratch) / f"{name}{repeat}"
                run_search(folder, 2, options.overrides)
                with watching_pages(folder, browser, 3 if name == "watched" else 0):
                    values.append(timed_search(folder, options))
    return {
        "trials_per_hour": {name: [round(rate) for rate in values] for name, values in rates.items()},
        "ratio_of_medians": round(median(rates["watched"]) / median(rates["alone"]), 3),
        "noise": {name: round(max(values) / min(values) - 1, 3) for name, values in rates.items()},
    }


def main() -> None:
    """Run the benchmark of the command line and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    page = commands.add_parser("page")
    page.add_argument("study", type=Path)
    page.add_argument("--rival", type=Path, help="the program optuna-dashboard, of another environment")
    page.set_defaults(run=benchmark_page)
    search = commands.add_parser("search")
    search.add_argument("--trials", type=int, default=40)
    search.add_argument("overrides", nargs="*", help="of the study, such as resources.executor=local")
    search.set_defaults(run=benchmark_search)
    for command in (page, search):
        command.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        print(json.dumps(options.run(options, browser), indent=1))
        browser.close()


if __name__ == "__main__":
    main()
