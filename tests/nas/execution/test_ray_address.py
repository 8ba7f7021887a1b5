"""Addresses and tokens of Ray clusters, without Ray."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.execution.executors.ray_tune.address import check_reachable, resolve
from nas.execution.executors.ray_tune.tokens import cluster_variables, find_token, private_variables


@pytest.mark.parametrize("address", ["10.0.0.1:6379", "head.example.org:1", "[::1]:65535"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    assert resolve(address, {"RAY_ADDRESS": "10.0.0.9:1"}) == address


@pytest.mark.parametrize(
    "address", ["", "head", "head:", ":6379", "head:0", "head:65536", "head:63790000000", "head:٣", "a b:1", "x/y:1"]
)
def test_what_is_no_address_is_an_error_that_names_the_form(address: str) -> None:
    with pytest.raises(UsageError, match=r'resources\.address: must be "auto" or HOST:PORT, found'):
        resolve(address, {})


def test_the_address_of_ray_client_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"run the search on a node of the cluster, or with `ray job submit`"):
        resolve("ray://head:10001", {})


def test_auto_is_the_cluster_of_the_variable_or_the_one_that_ray_start_has_started(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.2:6379\n")
    assert resolve("auto", {"RAY_TMPDIR": str(tmp_path)}) == "10.0.0.2:6379"
    assert resolve("auto", {"TMPDIR": str(tmp_path), "RAY_ADDRESS": "10.0.0.3:6379"}) == "10.0.0.3:6379"
    with pytest.raises(UsageError, match=r"no Ray cluster was started on this machine"):
        resolve("auto", {"RAY_TMPDIR": str(tmp_path / "other")})
    with pytest.raises(UsageError, match=r"ray job submit.*RAY_ADDRESS=ray://head:1"):
        resolve("auto", {"RAY_ADDRESS": "ray://head:1"})


def test_an_address_at_which_nothing_answers_is_an_error() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(UsageError, match=rf"resources\.address: no Ray cluster answers there .*, found {address}"):
            check_reachable(address)
        listener.listen()
        check_reachable(address)


def test_a_token_is_found_in_the_order_of_ray(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "token"
    (home / ".ray").mkdir(parents=True)
    environment = {"HOME": str(home)}
    assert find_token(environment) is None
    assert cluster_variables(environment) == {}
    (home / ".ray" / "auth_token").write_text("of-home\n")
    assert find_token(environment) == "of-home"
    file.write_text("of-file")
    environment["RAY_AUTH_TOKEN_PATH"] = str(file)
    assert find_token(environment) == "of-file"
    environment["RAY_AUTH_TOKEN"] = "of-variable"
    assert find_token(environment) == "of-variable"
    assert cluster_variables(environment) == {"RAY_AUTH_MODE": "token"}
    assert cluster_variables({**environment, "RAY_AUTH_MODE": "disabled"}) == {}


def test_each_private_ray_has_a_token_of_its_own() -> None:
    first, second = private_variables(), private_variables()
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]
