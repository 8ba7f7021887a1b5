"""Networks as files of other runtimes: every registered format, every mixer, and what is left after an error (nothing)."""

from __future__ import annotations

import json
import resource
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from torch import nn

from nas.errors import MachineError, StudyError, UnknownNameError, UsageError
from nas.models.formats import FORMATS, Artifact, check_format, write_artifact
from nas.models.formats.refusal import FormatRefusedError
from nas.models.formats.registry import ModelFormat, register, unregister
from search_space import Architecture, build
from search_space.mixers import MIXERS
from search_space.modules.network import Network

ROOT = Path(__file__).parents[3]
SHAPE = (3, 10, 14)
METADATA = {"classes": '["cat", "dog"]', "mean": "0.5 0.5 0.5"}


@pytest.fixture(scope="module")
def network() -> Network:
    """A block with each registered token mixer, on maps of 5 x 7; then one on half the map."""
    stage = {"width": 24, "depth": 1, "channel_mixer": "pointwise", "norm": "layer"}
    stages: list[dict[str, object]] = [{**stage, "mixer": name} for name in sorted(MIXERS)]
    window = {
        "name": "attention",
        "heads": 2,
        "window": 3,
        "shift": "always",
    }  # with a bias: not the fused kernel's layout
    stages.append({**stage, "mixer": window})
    stages.append({"width": 32, "depth": 1, "mixer": "conv", "downsample": 2, "norm": "batch"})
    description = {"stages": stages, "image_size": SHAPE[1:], "stem": {"patch": 2}, "num_classes": 5}
    torch.manual_seed(0)
    return build(Architecture.from_dict(description))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def outputs(network: Network, images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = network.eval()(images).numpy()
    network.train()
    return found


def check_artifact(artifact: Artifact, folder: Path) -> None:
    assert artifact.file == folder / FORMATS[artifact.format].file_name
    assert [file.name for file in folder.iterdir()] == [artifact.file.name]
    assert artifact.size_bytes == artifact.file.stat().st_size > 0
    assert 0 <= artifact.largest_difference <= 1e-4
    assert artifact.images_per_s > 0
    assert artifact.write_s > 0
    assert artifact.batch_size == 4
    assert artifact.producer["torch"] == torch.__version__.partition("+")[0]
    assert set(artifact.producer) == {"torch", *FORMATS[artifact.format].packages}
    assert json.loads(json.dumps(artifact.to_dict()))["file"] == artifact.file.name
    assert str(ROOT).encode() not in artifact.file.read_bytes()


def test_every_mixer_as_onnx(
    network: Network, images: torch.Tensor, outputs: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    artifact = write_artifact(network, SHAPE, "onnx", tmp_path / "new", metadata=METADATA, batch_size=4)
    assert capfd.readouterr() == ("", "")
    assert network.training
    check_artifact(artifact, tmp_path / "new")
    assert stat.S_IMODE(artifact.file.stat().st_mode) & 0o044 == 0o044  # by the umask
    model = onnx.load(artifact.file)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 20
    assert not [node.op_type for node in model.graph.node if node.op_type in ("DFT", "STFT")]
    session = onnxruntime.InferenceSession(artifact.file, providers=["CPUExecutionProvider"])
    (entry,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (entry.name, entry.shape, logits.name, logits.shape) == ("images", ["batch", *SHAPE], "logits", ["batch", 5])
    assert session.get_modelmeta().custom_metadata_map == METADATA
    for count in (1, 2, 4):
        (found,) = session.run(None, {"images": images[:count].numpy()})
        np.testing.assert_allclose(found, outputs[:count], atol=1e-4)


def test_every_mixer_as_an_exported_program(
    network: Network, images: torch.Tensor, outputs: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pt2").write_text("an earlier one")
    artifact = write_artifact(network, SHAPE, "pt2", tmp_path, metadata=METADATA, batch_size=4)
    assert capfd.readouterr() == ("", "")
    check_artifact(artifact, tmp_path)
    files = {"metadata.json": ""}
    program = torch.export.load(artifact.file, extra_files=files)
    assert json.loads(files["metadata.json"]) == METADATA
    for count in (1, 2, 4):
        found = program.module()(images[:count]).detach().numpy()
        np.testing.assert_allclose(found, outputs[:count], atol=1e-4)


@pytest.mark.skipif(find_spec("executorch") is None, reason="ExecuTorch is not installed")
def test_every_mixer_for_executorch(network: Network, tmp_path: Path) -> None:
    check_artifact(write_artifact(network, SHAPE, "executorch", tmp_path, batch_size=4), tmp_path)


def test_a_model_of_timm(tmp_path: Path) -> None:
    model = timm.create_model("test_vit", num_classes=4)
    artifact = write_artifact(model, model.pretrained_cfg["input_size"], "pt2", tmp_path, batch_size=4)
    check_artifact(artifact, tmp_path)


def test_every_format_is_installed_by_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for model_format in FORMATS.values():
        requirements = project["optional-dependencies"].get(model_format.extra, [])
        for package in model_format.packages:
            assert any(requirement.startswith(f"{package}>=") for requirement in requirements), package
    assert len({model_format.file_name for model_format in FORMATS.values()}) == len(FORMATS)


class Inverse(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.inv(x)


class Choice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Triple(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x, x, x


def network_with(module: nn.Module) -> Network:
    description = {"stages": [{"width": 8, "depth": 2, "mixer": "conv"}], "image_size": 4, "stem": {"patch": 1}}
    network = build(Architecture.from_dict(description))
    network.get_submodule("stages.0.blocks.1").mixer = module
    return network


@pytest.mark.parametrize(
    ("format_name", "module", "message"),
    [
        ("onnx", Inverse(), r"^format onnx: cannot hold the operator aten.linalg_inv_ex of stages.0.blocks.1.mixer "
         r"\(mixer 'conv'\): ONNX has no such operator$"),
        ("pt2", Choice(), r"^format pt2: cannot hold stages.0.blocks.1.mixer \(mixer 'conv'\): torch.export cannot trace it: "
         r".*data-dependent.*$"),
    ],
    ids=["unknown operator", "no graph"],
)  # fmt: skip
def test_a_network_that_a_format_cannot_hold(
    format_name: str, module: nn.Module, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FormatRefusedError, match=message):
        write_artifact(network_with(module), (3, 4, 4), format_name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def other_format() -> Iterator[type[ModelFormat]]:
    @register
    class Wrong(ModelFormat):
        """A file whose outputs are wrong by a thousandth."""

        name: ClassVar[str] = "wrong"
        file_name: ClassVar[str] = "model.wrong"
        packages: ClassVar[tuple[str, ...]] = ()
        extra: ClassVar[str] = "wrong"

        def write(
            self, module: nn.Module, input_shape: tuple[int, int, int], file: Path, metadata: Mapping[str, str]
        ) -> None:
            file.write_text("outputs")
            self.module = module

        def load(self, file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
            return lambda images: self.module(images).detach() + 1e-3

    yield Wrong
    unregister("wrong")


def test_a_file_with_other_outputs_is_not_kept(other_format: type[ModelFormat], tmp_path: Path) -> None:
    (tmp_path / "model.wrong").write_text("an earlier one")
    with pytest.raises(
        StudyError, match=r"format wrong: outputs must be those of the network, found a difference of 0\.001"
    ):
        write_artifact(nn.Flatten(), (3, 4, 4), "wrong", tmp_path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model.wrong", "an earlier one")]


class Amplified(nn.Module):
    """The input with rounding errors of single precision, up to 0.004."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 1e5) - 1e5


def test_a_network_that_amplifies_rounding_errors(other_format: type[ModelFormat], tmp_path: Path) -> None:
    class Exact(other_format):  # type: ignore[misc, valid-type]
        name = "exact"

        def load(self, file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
            return lambda images: images + self.error

    register(Exact)
    try:
        Exact.error = 0.0
        assert write_artifact(Amplified(), (3, 4, 4), "exact", tmp_path).largest_difference > 1e-3
        Exact.error = 0.02
        with pytest.raises(StudyError, match="outputs must be those of the network"):
            write_artifact(Amplified(), (3, 4, 4), "exact", tmp_path / "other")
    finally:
        unregister("exact")


def test_a_format_that_is_not_known_or_not_installed(
    other_format: type[ModelFormat], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match=r"no such format \(known: .*\), found 'onxx'; did you mean onnx\?"):
        write_artifact(nn.Flatten(), (3, 4, 4), "onxx", tmp_path)
    monkeypatch.setattr(other_format, "packages", ("no_such_package", "torch"))
    message = r'^format wrong: needs no_such_package, which is not installed: pip install "mixfront\[wrong\]"$'
    with pytest.raises(UsageError, match=message):
        write_artifact(nn.Flatten(), (3, 4, 4), "wrong", tmp_path)
    with pytest.raises(ValueError, match="format 'wrong' is already registered"):
        register(other_format)
    assert list(tmp_path.iterdir()) == []
    assert check_format("pt2") is FORMATS["pt2"]


def test_modules_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="input_shape: must be that of the images of the network, found 1x4x4"):
        write_artifact(network_with(nn.Identity()), (1, 4, 4), "pt2", tmp_path)
    with pytest.raises(UsageError, match="the network must return one tensor, found tuple"):
        write_artifact(Triple(), (1, 4, 4), "pt2", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond a few bytes: writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("format_name", ["onnx", "pt2"])
def test_a_full_disk(format_name: str, full_disk: None, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"model: the model cannot be written \(File too large\)"):
        write_artifact(nn.Sequential(nn.Flatten(), nn.Linear(48, 48)), (3, 4, 4), format_name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_names_and_packages_are_checked_without_torch() -> None:
    code = (
        "import sys, nas.models.formats as f; print(sorted(f.FORMATS), 'torch' in sys.modules, 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{sorted(FORMATS)} False False\n"


def test_numbers_of_an_artifact() -> None:
    with pytest.raises(ValueError, match="size_bytes: must not be negative, found -1"):
        Artifact("onnx", Path("model.onnx"), -1, 0.0, 1.0, 1.0, {}, 1.0, 16)
