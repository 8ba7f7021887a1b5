"""The private parts of Ray that the adapter uses: each exists and does what the adapter takes it for."""

from __future__ import annotations

import inspect

from ray._private import node, ray_constants, services, state, worker
from ray.actor import ActorHandle
from ray.tune.execution.tune_controller import TuneController
from ray.tune.utils.object_cache import _ObjectCache

from nas.execution.executors.ray_tune import adapter
from nas.execution.executors.ray_tune.slots import WorkerSlots


def test_ray_listens_on_the_loopback_address_alone_where_clusters_are_disabled() -> None:
    assert isinstance(ray_constants.ENABLE_RAY_CLUSTER, bool)
    assert "ENABLE_RAY_CLUSTER" in inspect.getsource(services.get_node_ip_address)


def test_the_processes_of_a_private_ray_and_the_socket_of_the_raylet_are_known() -> None:
    assert hasattr(worker, "_global_node")
    assert "self.all_processes" in inspect.getsource(node.Node.__init__)
    assert isinstance(node.Node.raylet_socket_name, property)
    assert {ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER} == {"raylet", "gcs_server"}


def test_a_private_ray_has_only_the_processes_that_it_needs() -> None:
    source = inspect.getsource(node.Node.start_head_processes) + inspect.getsource(node.Node.start_ray_processes)
    for start in (*adapter.IDLE_PROCESSES, adapter.LOG_PROCESS):
        assert f"self.{start}(" in source
    before = dict(vars(node.Node))
    with adapter.without_processes(*adapter.IDLE_PROCESSES):
        assert node.Node.start_api_server(None, include_dashboard=False, raise_on_failure=False) is None
        assert node.Node.start_log_monitor is before["start_log_monitor"]
    assert dict(vars(node.Node)) == before


def test_the_node_of_an_actor_is_found_by_its_id() -> None:
    assert "actor_id" in inspect.signature(state.actors).parameters
    assert "NodeID" in inspect.getsource(state.GlobalState._gen_actor_info)
    assert "_actor_id" in inspect.getsource(ActorHandle)


def test_tune_keeps_idle_workers_where_the_slots_replace_it() -> None:
    assert "_ObjectCache(may_keep_one=True)" in inspect.getsource(TuneController.__init__)
    used = {name for name in vars(_ObjectCache) if not name.startswith("_")}
    assert used <= {name for name in dir(WorkerSlots) if not name.startswith("_")}
    source = inspect.getsource(TuneController)
    for call in ("cache_object(", "increase_max(trial", "flush_cached_objects("):
        assert call in source
