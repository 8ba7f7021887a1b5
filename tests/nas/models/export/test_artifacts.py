"""`nas export --format onnx --standalone`: files beside those of timm, the card, and the service of the example."""

from __future__ import annotations

import io
import json
import re
import runpy
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import pytest
import uvicorn
from PIL import Image

from nas import Study, export
from nas.errors import UsageError
from nas.models.export import ExportOptions
from nas.models.loading import load_model

EXAMPLES = Path(__file__).parents[4] / "studies" / "examples"

onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install mixfront[onnx])")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (pip install mixfront[onnx])")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_study: Path) -> Path:
    """The exported best trial with an ONNX and a standalone file."""
    out = tmp_path_factory.mktemp("artifacts") / "model"
    export(Study.open(small_study), "best", out, ExportOptions(formats=("onnx",), standalone=True))
    return out


def test_the_files_are_of_the_trained_network(folder: Path) -> None:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images})
    import torch

    standalone = runpy.run_path(str(folder / "model.py"))["load"](folder)
    with torch.inference_mode():
        assert np.abs(standalone(torch.from_numpy(images)).numpy() - logits).max() < 1e-4
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["mean"]) == json.loads((folder / "config.json").read_text())["pretrained_cfg"]["mean"]


def test_a_command_knows_the_classes_and_the_normalisation_of_the_onnx_file(folder: Path) -> None:
    file, own = load_model(str(folder / "model.onnx")), load_model(str(folder))
    assert file.class_names == own.class_names == tuple(str(digit) for digit in range(10))
    assert (file.mean, file.std, file.input_shape) == (own.mean, own.std, own.input_shape)


def test_the_card_has_the_figures_and_code_that_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (folder / "README.md").read_text()
    row = re.search(
        r"^\| onnx \| `model.onnx` \| [\d.]+ MB \| (\S+) \| .* \(batches of 16\) \| .*onnxruntime", card, re.M
    )
    assert row is not None
    assert float(row[1]) < 1e-4
    assert "`model.py`" in card
    monkeypatch.chdir(folder)
    (block,) = (block for block in re.findall(r"^```python\n(.*?)^```", card, re.M | re.S) if "onnxruntime" in block)
    exec(compile(block, "README.md", "exec"), {})
    assert 0 <= int(capsys.readouterr().out.strip().strip("[]")) <= 9


def test_a_format_that_is_not_known_is_refused_before_anything_is_written(small_study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such format \(known: .*onnx.*\), found 'onxx'; did you mean onnx\?"):
        export(Study.open(small_study), "best", tmp_path / "model", ExportOptions(formats=("onxx",)))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def service(folder: Path) -> Iterator[str]:
    """The address of the example's service."""
    app = runpy.run_path(str(EXAMPLES / "serve_onnx.py"))["create_app"](folder)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def test_the_service_classifies_images(service: str) -> None:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)).save(content, "PNG")
    with urllib.request.urlopen(service, data=content.getvalue(), timeout=20) as response:
        answer = json.load(response)
    assert answer["probabilities"].keys() == set(map(str, range(10)))
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["probability"] == answer["probabilities"][answer["class"]] == max(answer["probabilities"].values())
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(service, data=b"no image", timeout=20)
    assert refused.value.code == 415
    assert json.load(refused.value) == {"error": "the body must be an image"}
    refused.value.close()
