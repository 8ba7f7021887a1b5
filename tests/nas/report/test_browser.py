"""The report in a real browser, where one is installed: no request, no error, and clicks choose a trial.

Chromium is driven over its DevTools pipe (file descriptors 3 and 4, messages that end in a zero byte), so that no driver
needs to be installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nas.analysis.results import Results
from nas.report import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1500,1200",
)  # fmt: skip
LAUNCHER = """
import fcntl, os, sys
hear, tell = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])  # out of the way of 3 and 4
os.dup2(hear, 3)
os.dup2(tell, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""  # chromium expects its pipe at 3 and 4
PATIENCE_S = 30.0

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Browser:
    """A page in a headless Chromium."""

    def __init__(self, profile: Path) -> None:
        hear, say_to = os.pipe()
        listen, tell_us = os.pipe()
        words = [sys.executable, "-c", LAUNCHER, str(hear), str(tell_us), str(CHROMIUM), *FLAGS]
        words += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            words, pass_fds=(hear, tell_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(hear)
        os.close(tell_us)
        self._out, self._in = say_to, listen
        self._buffer, self._count, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []

    def attach(self) -> None:
        """To the page, with its events."""
        page = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **arguments: Any) -> dict[str, Any]:
        """The result of a DevTools command; events on the way are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._in, 1 << 16)
            assert chunk, "the browser ended"
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def eval(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until the expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.eval(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, x: float, y: float) -> None:
        """A real click of the mouse at a point of the window."""
        for kind, button in (("mouseMoved", "none"), ("mousePressed", "left"), ("mouseReleased", "left")):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=int(button == "left"))
            time.sleep(0.1)  # plotly looks for the nearest point at most every 50 ms

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)


@pytest.fixture(scope="module")
def results(digits_study: Path) -> Results:
    return Results.load(digits_study)


@contextmanager
def opened(study: Path, home: Path) -> Iterator[Browser]:
    """The report of a study in a browser, drawn."""
    out = write(study, home / "report.html")
    browser = Browser(home / "profile")
    try:
        browser.attach()
        browser.send("Page.navigate", url=out.as_uri())
        browser.wait("document.querySelectorAll('.js-plotly-plot .main-svg').length > 0 && typeof study === 'object'")
        browser.wait("document.querySelectorAll('#panel h2').length === 1")
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def browser(digits_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with opened(digits_study, tmp_path_factory.mktemp("report")) as found:
        yield found


def place_of(browser: Browser, figure: int, trial: int) -> tuple[float, float]:
    """Where the point of a trial stands in the window, scrolled into view."""
    found = browser.eval(
        f"""(() => {{
          const div = document.querySelectorAll('.js-plotly-plot')[{figure}];
          div.scrollIntoView({{block: 'center', behavior: 'instant'}});
          const {{xaxis, yaxis}} = div._fullLayout, box = div.getBoundingClientRect();
          for (const trace of div.data) {{
            const at = (trace.customdata || []).indexOf({trial});
            if (trace.mode === 'markers' && at >= 0)
              return [box.left + xaxis._offset + xaxis.d2p(trace.x[at]), box.top + yaxis._offset + yaxis.d2p(trace.y[at])];
          }}
        }})()"""
    )
    return found[0], found[1]


def test_the_best_is_chosen_at_first(browser: Browser, results: Results) -> None:
    best = results.trial("best")
    assert (
        browser.eval("document.querySelector('#panel h2').textContent") == f"Trial {best['trial']} (on the front, best)"
    )
    assert browser.eval("document.querySelectorAll('.js-plotly-plot').length") == 6


def test_a_click_on_a_point_fills_the_panel_and_marks_its_row(browser: Browser, results: Results) -> None:
    number = int(results.front["trial"].iloc[0])
    for figure in (0, 1, 2):
        browser.eval("choose(study.best)")
        browser.click(*place_of(browser, figure, number))
        browser.wait(f"document.querySelector('#panel h2').textContent.startsWith('Trial {number} ')")
        assert browser.eval("[...document.querySelectorAll('#front tr.chosen')].map((row) => row.dataset.trial)") == [
            str(number)
        ]
    panel = browser.eval("document.querySelector('#panel').textContent")
    for stage in results.trial(number)["architecture"]["stages"]:
        assert stage["mixer"]["name"] in panel
    shown = browser.eval("document.querySelector('#panel details pre').textContent")
    assert json.loads(shown) == results.trial(number)["architecture"]
    command = browser.eval("document.querySelector('#panel code').textContent")
    assert command == f"nas export {results.folder} {number} --out model-{number}"


def test_a_row_of_a_failed_trial_says_why(browser: Browser) -> None:
    browser.eval("document.querySelector('#trials tr[data-trial=\"5\"]').click()")
    assert "failed: loss is <NaN> at epoch 2 & ended" in browser.eval("document.querySelector('#panel').textContent")
    assert browser.eval("document.querySelector('#panel .command') === null")


def test_a_header_sorts_and_what_is_missing_comes_last(browser: Browser, results: Results) -> None:
    read = "[...document.querySelectorAll('#trials tbody tr')].map((row) => Number(row.dataset.trial))"
    head = "[...document.querySelectorAll('#trials th button')].find((b) => b.textContent === 'validation accuracy')"
    ranked = results.trials.dropna(subset=["accuracy"]).sort_values(["accuracy", "trial"])["trial"].tolist()
    missing = sorted(set(results.trials["trial"]) - set(ranked))
    browser.eval(f"{head}.click()")
    assert browser.eval(read) == ranked + missing
    browser.eval(f"{head}.click()")
    assert browser.eval(read) == ranked[::-1] + missing
    assert browser.eval(f"{head}.parentElement.getAttribute('aria-sort')") == "descending"


def test_the_filter_keeps_what_it_names(browser: Browser) -> None:
    browser.eval(
        "(() => { const f = byId('filter'); f.value = 'refused limit'; f.dispatchEvent(new Event('input')); })()"
    )
    states = browser.eval("[...document.querySelectorAll('#trials td.state')].map((cell) => cell.textContent)")
    assert states == ["refused: limit macs: 5000 > 4000"] * 3
    assert browser.eval("byId('shown').textContent") == "3 of 37 trials"
    browser.eval("(() => { const f = byId('filter'); f.value = ''; f.dispatchEvent(new Event('input')); })()")


def test_channel_graphs_follow_the_chosen_trial_and_the_pointer(graph_study: Path, tmp_path: Path) -> None:
    titles = "[...document.querySelectorAll('#channels h3')].map((heading) => heading.firstChild.textContent)"
    graph = "document.querySelector('#channels .js-plotly-plot')"
    with opened(graph_study, tmp_path) as browser:
        assert browser.eval(titles) == ["Stage 1; stage 2", "Stage 3"]
        browser.eval("choose(0)")
        assert browser.eval(titles) == ["Stage 1", "Stage 2"]
        assert "yes (g1*g2 = 16*4 = 64 <= 64)" in browser.eval("byId('channels').textContent")
        browser.wait(f"{graph}._fullLayout && {graph}.querySelectorAll('image').length === 3")
        x, y = browser.eval(
            f"""(() => {{
              const div = {graph};
              div.scrollIntoView({{block: 'center', behavior: 'instant'}});
              const {{xaxis, yaxis}} = div._fullLayout, box = div.getBoundingClientRect();
              return [box.left + xaxis._offset + xaxis.d2p(3), box.top + yaxis._offset + yaxis.d2p(5.5 / 64)];
            }})()"""
        )
        chosen = f"{graph}.data[{graph}.layout.meta.first + 2].y[0] * 64 - 0.5"
        assert browser.eval(chosen) == pytest.approx(40, abs=0.01)  # the middle one of the third group
        browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="none")
        browser.wait(f"Math.round({chosen}) === 5")
        browser.eval("choose(2)")
        assert browser.eval("byId('channels-section').hidden")
        check_quiet(browser)


def test_no_request_and_no_error(browser: Browser) -> None:
    check_quiet(browser)


def check_quiet(browser: Browser) -> None:
    """Nothing was asked of any network, and no script failed."""
    browser.eval("1")
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url.split(":")[0] for url in asked if not url.startswith(("data:", "blob:"))] == ["file"]
    bad = [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]
    bad += [
        e for e in browser.events if e.get("method") == "Log.entryAdded" and e["params"]["entry"]["level"] == "error"
    ]
    assert bad == []
