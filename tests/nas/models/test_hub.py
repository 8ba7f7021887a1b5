"""Downloads from the Hugging Face Hub fail at once where it cannot be reached, and only there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub import constants

from nas.errors import UsageError
from nas.models.hub import hub_downloads
from nas.models.loading import find_model, with_weights
from trainers.data.resizing import Resizing


class Empty(BaseHTTPRequestHandler):
    """Answers every request with 404."""

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that has nothing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as http:
        threading.Thread(target=http.serve_forever).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address that nobody listens at, in place of the Hub's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    return address


def test_without_the_hub_only_the_cache_is_asked(unreachable: str) -> None:
    assert not constants.HF_HUB_OFFLINE
    rule = "they are not in the cache of downloads, and the Hugging Face Hub cannot be reached"
    with hub_downloads():
        assert huggingface_hub.is_offline_mode()  # what the library itself takes the constant for
    with pytest.raises(ConnectionError, match=f"^{rule} .{unreachable}: ConnectError: "), hub_downloads():
        huggingface_hub.hf_hub_download("nobody/nothing", "model.safetensors")
    assert not constants.HF_HUB_OFFLINE


def test_a_hub_that_answers_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", server)
    with hub_downloads():
        assert not huggingface_hub.is_offline_mode()
    with pytest.raises(ValueError, match="of the block"), hub_downloads():
        raise ValueError("of the block")
    assert not constants.HF_HUB_OFFLINE


def test_a_model_of_timms_is_known_before_its_weights_are_asked_for(unreachable: str) -> None:
    model = find_model("timm:resnet18.tv_in1k")
    assert (model.input_shape, model.num_classes, model.resizing) == ((3, 224, 224), 1000, Resizing("bilinear"))
    assert find_model("convnext_base.fb_in22k_ft_in1k_384").resizing.squashes
    assert not model.has_weights
    with pytest.raises(
        UsageError, match=r"^resnet18\.tv_in1k: its pretrained weights cannot be loaded: .*cannot be reached"
    ):
        with_weights(model)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("resnet18.tv_in2k", r"MODEL: timm has no weights with the tag 'tv_in2k' \(known: .*tv_in1k"),
        ("mixfront", r"MODEL: timm has no pretrained weights of this model, found 'mixfront'"),
        ("vit_base_patch16_siglip_224.webli", "is no classifier"),
    ],
)
def test_what_timm_does_not_have_needs_no_network(name: str, rule: str, unreachable: str) -> None:
    with pytest.raises(UsageError, match=rule):
        with_weights(find_model(name))
