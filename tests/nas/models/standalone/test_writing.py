"""Writing standalone files: hostile names, damaged weights, bad input, and layers of third parties."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import StudyError, UsageError
from nas.models.standalone import write_standalone
from search_space import Architecture, channel_graph as cdg
from search_space.mixers import MIXERS, TokenMixerSpec
from search_space.modules.builders import builds, unregister_builder
from search_space.modules.network import Network
from search_space.tape import FeatureMap, Tape

Write = Callable[..., ModuleType]
Make = Callable[[Architecture], Network]
HOSTILE = (
    '"""',
    "a'b\"c\\",
    "line\nend\r\x00\x1b[31m",
    "Zürich 東京",
    "\u202eltr",
    "\udce9",
    "{x} %s",
    "';import os;'",
)
POOL = {"stages": [{"mixer": "pool", "width": 8}], "stem": {"patch": 1}, "image_size": 8, "num_classes": len(HOSTILE)}
START = 2.0


def scaled(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Each channel times its gain."""
    return x * gain[:, None, None]


class Gain(nn.Module):
    """A learned gain for each channel, `(B, C, H, W) -> (B, C, H, W)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((width,), START))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return scaled(x, self.gain)


class NumpyGain(Gain):
    """A gain that another package computes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return scaled(x, self.gain * float(np.float64(1)))


class StandaloneGainSpec(TokenMixerSpec):
    """The description of `Gain`."""

    name: ClassVar[str] = "standalone_gain"

    def graph(self, width: int) -> cdg.ChannelGraph:
        return cdg.identity(width)

    def trace(self, x: FeatureMap, tape: Tape) -> FeatureMap:
        return tape.scale(x)


@pytest.fixture
def network_with(random_network: Make) -> Iterator[Callable[[type[nn.Module]], Network]]:
    """Makes a network whose token mixer is a module of the class given, registered for the time of the test."""
    MIXERS.register(StandaloneGainSpec)
    kinds: list[type[nn.Module]] = []
    builds(StandaloneGainSpec)(lambda spec, width, size: kinds[-1](width))

    def make(kind: type[nn.Module]) -> Network:
        kinds.append(kind)
        return random_network(Architecture.from_dict(POOL | {"stages": [{"mixer": "standalone_gain", "width": 8}]}))

    yield make
    unregister_builder(StandaloneGainSpec)
    MIXERS.unregister(StandaloneGainSpec.name)


def test_hostile_names_stay_data(write: Write, random_network: Make) -> None:
    network = random_network(Architecture.from_dict(POOL))
    text = '"""\nraise SystemExit\n"""\\'
    module = write(network, class_names=HOSTILE, name=text, origin=text, accuracy=text)
    assert module.CLASS_NAMES == HOSTILE
    assert module.__doc__.startswith('"""\\nraise SystemExit\\n"""\\: an image classifier')


def test_weights_that_are_there_are_used_and_compared(tmp_path: Path, write: Write, random_network: Make) -> None:
    network = random_network(Architecture.from_dict(POOL))
    write(network)
    before = (tmp_path / "model.safetensors").read_bytes()
    write(network)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    files = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}  # of the import
    assert files == {"model.py", "model.safetensors"}
    text = (tmp_path / "model.py").read_text()
    with torch.no_grad():
        network.head.bias += 1.0
    with pytest.raises(StudyError, match=r"model\.py: its outputs differ from those of the network by 1"):
        write(network)
    assert (tmp_path / "model.py").read_text() == text


def test_the_weights_of_a_new_number_of_classes(write: Write, random_network: Make) -> None:
    network = random_network(Architecture.from_dict(POOL))
    model = write(network).load(num_classes=2, drop_rate=0.5, drop_path_rate=0.2)
    assert model.head.out_features == 2
    assert torch.equal(model.stem.proj.weight, network.stem.proj.weight)
    rates = [module.rate for module in model.modules() if type(module).__name__ == "DropPath"]
    assert rates == [0.0, 0.2]


def header(entry: Any) -> bytes:
    """A safetensors file with one tensor described by `entry`, and four bytes of numbers."""
    text = json.dumps({"head.bias": entry}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


DAMAGED = {
    "empty": b"",
    "cut off": (1 << 40).to_bytes(8, "little") + b"{",
    "no JSON": (3).to_bytes(8, "little") + b"\x80\x04N",
    "nested": (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "a list": (2).to_bytes(8, "little") + b"[]",
    "dtype": header({"dtype": "pickle", "shape": [1], "data_offsets": [0, 4]}),
    "beyond the end": header({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}),
    "backwards": header({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}),
    "negative": header({"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}),
    "too few": header({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}),
    "no shape": header({"dtype": "F32", "data_offsets": [0, 4]}),
}


def test_damaged_weights_are_clear_errors(tmp_path: Path, write: Write, random_network: Make) -> None:
    module = write(random_network(Architecture.from_dict(POOL)))
    file = tmp_path / "damaged.safetensors"
    for name, content in DAMAGED.items():
        file.write_bytes(content)
        with pytest.raises(ValueError, match="no safetensors file") as error:
            module.read_weights(file)
        assert str(file) in str(error.value), name
    file.write_bytes(header({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}))
    assert torch.equal(module.read_weights(file)["head.bias"], torch.zeros(1))


def test_an_image_is_read_and_classified(tmp_path: Path, write: Write, random_network: Make) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    image.fromarray(pixels).save(tmp_path / "image.png")
    module = write(random_network(Architecture.from_dict(POOL)))
    expected = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - 0.5) / 0.25
    assert torch.allclose(module.read_image(tmp_path / "image.png"), expected)
    ((name, probability),) = module.predict([tmp_path / "image.png"])
    with torch.no_grad():
        logits = module.load()(expected[None])
    assert name == module.CLASS_NAMES[int(logits.argmax())]
    assert probability == pytest.approx(float(logits.softmax(1).max()), abs=1e-6)


def test_the_command_says_in_one_line_what_cannot_be_read(
    tmp_path: Path,
    write: Write,
    random_network: Make,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (9, 9)).save(tmp_path / "image.png")
    (tmp_path / "text.png").write_text("no image")
    module = write(random_network(Architecture.from_dict(POOL)))
    picture, text = str(tmp_path / "image.png"), str(tmp_path / "text.png")
    assert module.main([picture, "nowhere.png"]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{picture}: '")
    assert printed.err == "error: nowhere.png: No such file or directory\n"
    assert module.main([text]) == 2
    assert capsys.readouterr().err == f"error: {text}: cannot identify image file '{text}'\n"
    assert module.main([]) == 2
    assert capsys.readouterr().err == "usage: python model.py IMAGE ...\n"
    assert module.main(["--help"]) == 0
    (tmp_path / "model.safetensors").rename(tmp_path / "weights")
    assert module.main([picture]) == 2
    assert capsys.readouterr().err == "error: model.safetensors: No such file or directory\n"
    (tmp_path / "weights").rename(tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert module.main([picture]) == 2
    assert capsys.readouterr().err.startswith("error: reading images needs Pillow (pip install pillow): ")


def test_bad_input_is_a_clear_error(tmp_path: Path, write: Write, random_network: Make) -> None:
    network = random_network(Architecture.from_dict(POOL))
    with pytest.raises(UsageError, match="must be a mixfront Network, found Linear"):
        write_standalone(nn.Linear(1, 1), tmp_path, class_names=["a"], mean=[0.5], std=[0.5])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="class_names must be 8 names, found 1"):
        write(network, class_names=["a"])
    with pytest.raises(UsageError, match="std must be 3 numbers, found 1"):
        write(network, std=[0.5])
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_standalone(network, tmp_path / "file" / "x", class_names=HOSTILE, mean=[0.5] * 3, std=[0.5] * 3)
    network.reset_classifier(0)
    with pytest.raises(UsageError, match="must have its classifier"):
        write(network, class_names=[])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_mixer_of_others_is_followed(write: Write, network_with: Callable[[type[nn.Module]], Network]) -> None:
    network = network_with(Gain)
    module = write(network, class_names=HOSTILE)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(module.load()(images), network(images), atol=1e-6)
    assert module.START == START


def test_a_mixer_that_cannot_be_followed_is_named(
    tmp_path: Path, write: Write, network_with: Callable[[type[nn.Module]], Network]
) -> None:
    with pytest.raises(UsageError, match=r"mixer 'standalone_gain': .* uses numpy"):
        write(network_with(NumpyGain), class_names=HOSTILE)
    notebook = type("InNotebook", (nn.Module,), {"__module__": "notebook", "forward": lambda self, x: x})
    sys.modules["notebook"] = ModuleType("notebook")
    try:
        network = network_with(lambda width: notebook())  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"InNotebook: module notebook has no file of Python source"):
            write(network, class_names=HOSTILE)
    finally:
        del sys.modules["notebook"]
    assert list(tmp_path.iterdir()) == []
