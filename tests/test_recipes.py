"""The recipes for clusters in `studies/recipes`: scripts run with fake schedulers, descriptions against their schemas."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from nas.cli.main import app

RECIPES = Path(__file__).parents[1] / "studies" / "recipes"
PATIENCE_S = 60.0
SCRIPTS = ("ray_job_submit.sh", "slurm_array.sbatch", "slurm_ray.sbatch", "two_machines.sh")

FAKES = {
    # Each writes down how it was called; `nas` works until it is told to end, or ends at once with NAS_CODE.
    "nas": """\
trap 'echo "nas was told to end" >> "$CALLS"; exit 130' TERM
echo "nas $*" >> "$CALLS"
[[ -n "${NAS_CODE:-}" ]] && exit "$NAS_CODE"
while true; do sleep 0.05; done
""",
    "srun": """\
while [[ "$1" == --* ]]; do shift; done
exec "$@"
""",
    "ray": """\
echo "ray $* (token of ${#RAY_AUTH_TOKEN} characters, mode $RAY_AUTH_MODE)" >> "$CALLS"
[[ "$1" == symmetric-run ]] || exit 0
while [[ "$1" != -- ]]; do shift; done
"${@:2}"
""",
    "scontrol": """\
[[ "$1" == show ]] && { printf 'node1\\nnode2\\n'; exit; }
echo "scontrol $*" >> "$CALLS"
""",
    "hostname": "echo 10.0.0.5 fe80::1\n",
}


class FakeCluster:
    """Commands of a cluster that write down how they were called.

    Args:
        folder: a new folder for them.
    """

    def __init__(self, folder: Path) -> None:
        self.calls_file = folder / "calls"
        self.calls_file.touch()
        (folder / "bin").mkdir()
        for name, text in FAKES.items():
            command = folder / "bin" / name
            command.write_text(f"#!/usr/bin/env bash\n{text}")
            command.chmod(0o755)
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "CALLS": str(self.calls_file),
            "RAY_AUTH_TOKEN": "",
            "SLURM_JOB_ID": "4711",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_CPUS_ON_NODE": "16",
            "STORAGE": "postgresql://me@db/studies",
        }

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()

    def start(self, script: str, *words: str, **variables: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = ["bash", str(RECIPES / script), *words]
        return subprocess.Popen(command, env={**self.environment, **variables}, stdout=pipe, stderr=pipe, text=True)

    def run(self, script: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        process = self.start(script, *words, **variables)
        out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not any(text in call for call in self.calls):
            assert time.monotonic() < end, self.calls
            time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_and_are_bash(script: str) -> None:
    assert os.access(RECIPES / script, os.X_OK)
    checked = subprocess.run(["bash", "-n", RECIPES / script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("script", ["slurm_array.sbatch", "slurm_ray.sbatch"])
def test_a_job_that_is_told_to_end_ends_its_search_and_is_queued_again(cluster: FakeCluster, script: str) -> None:
    job = cluster.start(script, "study.yaml", "runs/study", "trials=7")
    try:
        cluster.wait_for("nas search study.yaml")
        job.send_signal(signal.SIGTERM)
        _, errors = job.communicate(timeout=PATIENCE_S)
    finally:
        job.kill()
        job.communicate()
    assert (job.returncode, errors) == (130, "")
    assert cluster.calls[-2:] == ["nas was told to end", "scontrol requeue 4711"]


@pytest.mark.parametrize("script", ["slurm_array.sbatch", "slurm_ray.sbatch"])
@pytest.mark.parametrize("code", [0, 3])
def test_a_job_whose_search_has_ended_is_not_queued_again(cluster: FakeCluster, script: str, code: int) -> None:
    done = cluster.run(script, "study.yaml", "runs/study", NAS_CODE=str(code))
    assert (done.returncode, done.stderr) == (code, "")
    assert not [call for call in cluster.calls if call.startswith("scontrol")]


def test_the_ray_job_has_a_token_of_its_own_and_the_address_of_the_first_node(cluster: FakeCluster) -> None:
    cluster.run("slurm_ray.sbatch", "study.yaml", "runs/a b", "trials=7", NAS_CODE="0", SLURM_GPUS_ON_NODE="4")
    ray, nas = cluster.calls
    start = "ray symmetric-run --address 10.0.0.5:24711 --min-nodes 2 --num-cpus=16 --num-gpus=4 -- "
    assert ray.startswith(start)
    assert ray.endswith("(token of 64 characters, mode token)")
    assert nas == "nas search study.yaml --out runs/a b --address 10.0.0.5:24711 trials=7"


def test_the_array_shares_one_database(cluster: FakeCluster) -> None:
    cluster.run("slurm_array.sbatch", "study.yaml", "runs/study", "trials=7", NAS_CODE="0")
    words = "--storage postgresql://me@db/studies resources.executor=local trials=7"
    assert cluster.calls == [f"nas search study.yaml --out runs/study {words}"]
    refused = cluster.run("slurm_array.sbatch", "study.yaml", "runs/study", STORAGE="")
    assert refused.returncode != 0
    assert "STORAGE: must be the URL of the database, postgresql://USER@HOST/DATABASE" in refused.stderr


@pytest.mark.parametrize("script", ["slurm_array.sbatch", "slurm_ray.sbatch"])
def test_jobs_are_signalled_before_their_time_is_up_and_may_be_queued_again(script: str) -> None:
    text = (RECIPES / script).read_text()
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert options["signal"] == "B:TERM@120"  # to the script alone, which tells the search
    assert {"requeue", "time", "open-mode"} <= options.keys()
    assert text.index("#SBATCH") < text.index("set -uo pipefail")  # Slurm reads no options after the first command


def test_two_machines_share_a_token(cluster: FakeCluster) -> None:
    refused = cluster.run("two_machines.sh", "join", "10.0.0.1")
    assert refused.returncode == 2
    assert "copy ~/.ray/auth_token of the head to this machine first" in refused.stderr
    token = Path(cluster.environment["HOME"], ".ray", "auth_token")
    token.parent.mkdir()
    token.write_text("secret")
    assert cluster.run("two_machines.sh", "head", "10.0.0.1", "--num-gpus=4").returncode == 0
    assert token.stat().st_mode & 0o077 == 0
    assert cluster.run("two_machines.sh", "join", "10.0.0.1").returncode == 0
    assert [call.partition(" (")[0] for call in cluster.calls] == [
        "ray get-auth-token --generate",
        "ray start --head --node-ip-address=10.0.0.1 --port=6379 --num-gpus=4",
        "ray start --address=10.0.0.1:6379",
    ]
    assert cluster.run("two_machines.sh").returncode == 2


def test_a_job_is_submitted_with_a_folder_that_stays(cluster: FakeCluster) -> None:
    refused = cluster.run("ray_job_submit.sh", "http://head:8265", "study.yaml", "runs/study")
    assert refused.returncode == 2
    assert "the folder on the head must be absolute, found runs/study" in refused.stderr
    assert cluster.run("ray_job_submit.sh", "http://head:8265", "study.yaml", "/studies/a", "trials=7").returncode == 0
    (call,) = cluster.calls
    command = "nas search study.yaml --out /studies/a --address auto --wait-for-cluster 30m trials=7"
    assert call.partition(" -- ")[2].startswith(command)
    assert json.loads(call.partition("--runtime-env-json ")[2].partition(" -- ")[0])["excludes"]


# Fields of KubeRay's API ray.io/v1 (1.5.1), as far as a job has use for them.
RAY_JOB = {
    "entrypoint", "submissionMode", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "activeDeadlineSeconds",
    "backoffLimit", "rayClusterSpec", "runtimeEnvYAML", "entrypointNumCpus", "suspend", "submitterPodTemplate",
}  # fmt: skip
RAY_CLUSTER = {
    "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs",
    "gcsFaultToleranceOptions", "suspend",
}  # fmt: skip
AUTOSCALER = {"version", "idleTimeoutSeconds", "upscalingMode", "resources", "image", "env", "envFrom"}
HEAD_GROUP = {"rayStartParams", "template", "headService", "enableIngress", "serviceType"}
WORKER_GROUP = {
    "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "rayStartParams", "template", "numOfHosts"
}  # fmt: skip
QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?")


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    """Kind -> object."""
    documents = yaml.safe_load_all((RECIPES / "rayjob.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_fields_of_the_ray_job_are_those_of_kuberay(kubernetes: dict[str, Any]) -> None:
    job = kubernetes["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert spec.keys() <= RAY_JOB
    assert cluster.keys() <= RAY_CLUSTER
    assert cluster["authOptions"] == {"mode": "token"}
    assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)  # KubeRay refuses tokens before
    assert cluster["autoscalerOptions"].keys() <= AUTOSCALER
    assert cluster["autoscalerOptions"]["version"] in ("v1", "v2")
    assert cluster["headGroupSpec"].keys() <= HEAD_GROUP
    (workers,) = cluster["workerGroupSpecs"]
    assert workers.keys() <= WORKER_GROUP
    assert 0 == workers["minReplicas"] <= workers["replicas"] < workers["maxReplicas"]
    assert cluster["enableInTreeAutoscaling"] is True
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())  # numbers are refused


def test_the_pods_fit_the_ray_job(kubernetes: dict[str, Any]) -> None:
    cluster = kubernetes["RayJob"]["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"].endswith(f":{cluster['rayVersion']}")
        for quantities in container["resources"].values():
            assert all(isinstance(value, str) and QUANTITY.fullmatch(value) for value in quantities.values())
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}
    claim = kubernetes["PersistentVolumeClaim"]["metadata"]["name"]
    volumes = cluster["headGroupSpec"]["template"]["spec"]["volumes"]
    assert {"persistentVolumeClaim": {"claimName": claim}}.items() <= volumes[0].items()
    paths = [
        mount["mountPath"] for mount in cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    ]
    words = shlex.split(kubernetes["RayJob"]["spec"]["entrypoint"])
    assert words[words.index("--out") + 1].startswith(f"{paths[0]}/")
    assert words[2].startswith(f"{paths[1]}/")


def test_the_cluster_of_spot_instances_has_the_schema_of_rays_launcher() -> None:
    plain = yaml.safe_load((RECIPES / "spot_instances.yaml").read_text())
    schema = json.loads((resources.files("ray.autoscaler") / "ray-schema.json").read_text())
    jsonschema.validate(plain, schema)
    kinds = plain["available_node_types"]
    assert plain["head_node_type"] in kinds
    assert kinds["spot_gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in kinds["head"]["node_config"]
    for command in (plain["head_start_ray_commands"][-1], plain["worker_start_ray_commands"][-1]):
        assert "RAY_AUTH_MODE=token ray start" in command


WORDS = {
    '"$study"': "study.yaml", '"$out"': "runs/study", '"$STORAGE"': "postgresql://me@db/studies", '"$address"': "10.0.0.5:24711",
    '"${@:3}"': "trials=7", '"${@:4}"': "trials=7", '"$@"': "study.yaml --out runs/study",
    "[key=value ...]": "trials=7", "study.tar": "study.tar",
}  # fmt: skip
"""What stands for the variables of a script."""


def nas_commands() -> list[tuple[str, str]]:
    """Name of the recipe, and each command `nas` in it, also in its comments."""
    found: list[tuple[str, str]] = []
    for file in sorted(RECIPES.iterdir()):
        text = file.read_text()
        for variable, word in WORDS.items():
            text = text.replace(variable, word)
        found += [(file.name, match[0]) for match in re.finditer(r"\bnas (search|status|backup) [^&'\n#]*", text)]
    return found


@pytest.mark.parametrize(("recipe", "command"), nas_commands())
def test_the_commands_of_the_recipes_are_those_of_nas(recipe: str, command: str) -> None:
    name, *words = shlex.split(command)[1:]
    group: Any = typer.main.get_command(app)
    assert group.commands[name].make_context(name, words).params


def test_every_recipe_has_a_command_of_nas() -> None:
    assert {recipe for recipe, _ in nas_commands()} == {file.name for file in RECIPES.iterdir()}
