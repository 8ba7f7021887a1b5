"""What a release must not change: ids, operator keys, names of weights, the JSON of the command line, studies on disk.

`tests/fixtures/v0_1` was written by version 0.1 and is never written again: a difference here orphans the studies, the exports or
the scripts of users. Its README says how it was made.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from optuna.trial import TrialState

from nas.cli.main import main
from nas.study.database.storage import open_study
from search_space import SearchSpace, build, mixers, presets
from search_space.norm import norm_name
from search_space.operators import operators

ROOT = Path(__file__).parents[1]
FROZEN = ROOT / "tests" / "fixtures" / "v0_1"
STUDIES = ("cifar10", "digits", "folder")
SAMPLE = 1000
Run = Callable[..., str]

MIXERS: dict[str, tuple[dict[str, Any], ...]] = {
    "afno": ({}, {"num_blocks": 4}),
    "attention": ({}, {"kv_reduction": 2}, {"kv_pool": 4}, {"window": 4}, {"window": 4, "shift": "always"}),
    "conv": ({}, {"k": 4, "groups": 4, "interlace": True}, {"group_width": 8, "bias": False}),
    "fnet": ({},),
    "fno": ({}, {"modes": 2}),
    "global_filter": ({},),
    "identity": ({},),
    "lambda": ({}, {"context": "global", "u": 2}),
    "mlp": ({},),
    "pool": ({},),
    "separable_conv": ({},),
    "shift": ({}, {"kind": "s2"}, {"kind": "axial"}),
    "wave": ({}, {"mode": "depthwise"}),
}
"""Token mixers with the options whose modules differ in the names of their weights."""


def frozen(name: str) -> Any:
    """The JSON that version 0.1 wrote."""
    file = FROZEN / name
    text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text(encoding="utf-8")
    return json.loads(text)


def sampled(study: str) -> Iterator[Any]:
    """Random architectures of the space in studies/STUDY.yaml."""
    space = SearchSpace.from_file(ROOT / "studies" / f"{study}.yaml")
    rng = np.random.default_rng(0)
    return (space.sample(rng) for _ in range(SAMPLE))


def weights_of(module: torch.nn.Module) -> list[str]:
    """Name and shape of each entry of the module's state dict, in order."""
    return [f"{name} {'x'.join(map(str, value.shape))}" for name, value in module.state_dict().items()]


def with_norms_of_version_0_1(architecture: Any) -> Any:
    """The description as version 0.1 had it: norms are names, each with the eps of its kind."""
    stem, stages = architecture.stem, architecture.stages
    return architecture.replace(
        stem=stem if stem.norm is None else stem.replace(norm=norm_name(stem.norm)),
        stages=tuple(stage.replace(norm=norm_name(stage.norm)) for stage in stages),
    )


def test_ids_of_presets() -> None:
    ids = {name: with_norms_of_version_0_1(presets.get(name)).id for name in presets.names()}
    assert ids == frozen("presets.json")
    repaired = {name for name in ids if presets.get(name).id != ids[name]}
    assert repaired == {"swin_tiny_patch4_window7"}  # has the published eps now; the old description keeps its id


@pytest.mark.parametrize("study", STUDIES)
def test_ids_and_canonical_json_of_sampled_architectures(study: str) -> None:
    found = list(sampled(study))
    canonical = "\n".join(architecture.to_json() for architecture in found)
    expected = frozen("samples.json.gz")[study]
    assert [architecture.id for architecture in found] == expected["ids"]
    assert hashlib.sha256(canonical.encode()).hexdigest() == expected["json_sha256"]


def test_operator_keys() -> None:
    found = {name: sorted(operator.key for operator in operators(presets.get(name))) for name in presets.names()}
    found |= {
        study: sorted({operator.key for architecture in sampled(study) for operator in operators(architecture)})
        for study in STUDIES
    }
    assert found == frozen("operators.json.gz")


def test_names_and_shapes_of_the_weights_of_mixers() -> None:
    found = {
        f"{name} {json.dumps(options)}": weights_of(mixers.create(name, width=16, size=(8, 8), **options))
        for name, several in MIXERS.items()
        for options in several
    }
    assert found == frozen("mixers.json")


def test_names_and_shapes_of_the_weights_of_presets() -> None:
    with torch.device("meta"):
        found = {name: weights_of(build(presets.get(name))) for name in presets.names()}
    assert found == frozen("weights.json.gz")


def test_every_mixer_is_frozen() -> None:
    assert set(MIXERS) == set(mixers.MIXERS)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that holds a copy of the study that version 0.1 left, as a kill left it: three trials complete, five not."""
    shutil.copytree(FROZEN / "study", tmp_path / "study")
    shutil.copy(FROZEN / "small.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def nas(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `nas` prints in the folder `home`. It runs in this process: the start of another takes longer."""
    monkeypatch.chdir(home)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["nas", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, errors = capsys.readouterr()
        assert ended.value.code == 0, errors
        return str(out)

    return run


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (("front", "study", "--json"), "front.json"),
        (("front", "study", "--csv"), "front.csv"),
    ],
)
def test_reading_commands_print_the_same(nas: Run, words: tuple[str, ...], file: str) -> None:
    assert nas(*words) == (FROZEN / file).read_text(encoding="utf-8")


def test_status_prints_the_keys_of_version_0_1_the_same(nas: Run) -> None:
    text = (FROZEN / "status.json").read_text(encoding="utf-8")
    printed = json.loads(nas("status", "study", "--json"))
    kept = {key: value for key, value in printed.items() if key in json.loads(text)}  # a later version may add keys
    assert json.dumps(kept) + "\n" == text


def test_fidelity_finds_its_trainings_and_prints_the_same(home: Path, nas: Run) -> None:
    words = ("fidelity", "study", "--sample", "3", "--seeds", "2", "--multiple", "2", "--json")
    found, expected = json.loads(nas(*words)), frozen("fidelity.json")
    trainings = Path("study/fidelity/trainings.jsonl")
    assert (home / trainings).read_bytes() == (FROZEN / trainings).read_bytes()  # nothing was trained again
    for result in (found, expected):
        for proxy in result["proxies"]:
            if proxy["family"] == "cost":
                del proxy["cost"]  # seconds that computing MACs takes here and now
    assert found == expected


def test_a_search_goes_on_and_its_best_is_exported(home: Path, nas: Run) -> None:
    before = {trial.number: trial for trial in open_study(home / "study").trials}
    data, weights = home / "study" / "data", home / "study" / "trials" / "00007" / "model.safetensors"
    kept = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in (*data.iterdir(), weights)}
    nas("search", "small.yaml", "--out", "study", "resources.workers=1", "train.epochs=30")
    after = {trial.number: trial for trial in open_study(home / "study").trials}
    for number, trial in before.items():
        if trial.state == TrialState.COMPLETE:
            assert after[number] == trial
        curve = trial.user_attrs["curve"]
        assert after[number].user_attrs["curve"][: len(curve)] == curve  # nothing was trained again
    assert all(trial.state.is_finished() for trial in after.values())
    assert set(data.iterdir()) | {weights} == kept.keys()
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept} == kept
    nas("export", "study", "7", "--out", "model")
    model = timm.create_model(f"local-dir:{home / 'model'}", pretrained=True)
    assert weights_of(model)
