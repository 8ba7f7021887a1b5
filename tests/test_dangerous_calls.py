"""No code from files: what could execute the content of a file is called nowhere, or only where this table says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_space", "trainers", "nas")

ALLOWED = {
    ("nas/execution/worker_process.py", "pickle.loads"): "exceptions of our own child processes, through their pipes",
    (
        "nas/execution/executors/ray_tune/executor.py",
        "pickle.loads",
    ): "results of our own child process, through its pipe",
    ("nas/execution/executors/ray_tune/host.py", "pickle.loads"): "the driver's paths, through the pipe to its child",
    (
        "nas/execution/executors/ray_tune/runner.py",
        "pickle.loads",
    ): "the driver's own calls, through Ray (see SECURITY.md)",
    ("nas/models/formats/adapters/pt2.py", "torch.export.load"): "a file that this process has just written",
    ("search_space/yaml_text.py", "yaml.load"): "with a loader that is a safe one without further tags",
}
"""(file, call) -> why it executes nothing of a file."""

ALLOWED_JSON = {
    "trainers/json_text.py": "the reader that the others call",
    "search_space/architecture.py": "packages below import nothing of ours; the same errors are caught",
    "nas/bench/table_file.py": "with a hook for names that stand twice; the same errors are caught",
    "nas/dashboard/background.py": "the output of our own child process",
    "nas/dashboard/writing.py": "at most 64 KiB; the same errors are caught",
    "nas/execution/executors/ray_tune/searcher.py": "the answers of our own workers",
    "nas/page/space_values.py": "JSON that the caller has made",
    "nas/sampler/optuna_adapter.py": "the same errors are caught",
    "nas/study/database/storage_url.py": "the same errors are caught",
    "nas/study/database/stored_trial.py": "the same errors are caught",
    "nas/study/trial_record.py": "the same errors are caught",
}
"""File -> why it calls `json.loads`, which ends in a `RecursionError` on JSON that is nested deeply."""

FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "cloudpickle.load", "cloudpickle.loads", "joblib.load", "shelve.open", "marshal.load", "marshal.loads", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "pandas.read_pickle", "pd.read_pickle", "torch.export.load",
    "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "shutil.unpack_archive",
}  # fmt: skip


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """The dotted name of each function that `file` calls, as it is written there, and the call."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> object:
    """The constant that `call` gives to an argument; None if it gives none."""
    values = [word.value for word in call.keywords if word.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def problem(name: str, call: ast.Call) -> str:
    """Why a call may execute the content of a file; empty if it does not."""
    if name in FORBIDDEN:
        return name
    if name == "torch.load" and keyword(call, "weights_only") is not True:
        return "torch.load without weights_only=True"
    if name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") is not False:
        return "np.load without allow_pickle=False"
    if name.endswith((".extractall", ".extract")):
        return f"{name} of an archive"
    shell = [word.value for word in call.keywords if word.arg == "shell"]
    if shell and keyword(call, "shell") is not False:
        return f"{name} with a shell"
    return ""


FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def test_files_of_users_are_never_executed() -> None:
    found = {
        (str(file.relative_to(ROOT)), problem(name, call)): file
        for file in FILES
        for name, call in calls(file)
        if problem(name, call)
    }
    assert found.keys() == ALLOWED.keys()


def test_json_is_read_where_deep_nesting_is_an_error() -> None:
    readers = {
        str(file.relative_to(ROOT)) for file in FILES for name, _ in calls(file) if name in ("json.loads", "json.load")
    }
    assert readers == ALLOWED_JSON.keys()


def test_pickles_are_imported_under_their_own_name() -> None:
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("pickle", "marshal", "shelve", "cloudpickle", "dill"), file
            if isinstance(node, ast.Import):
                assert all(name.asname is None for name in node.names if name.name in ("pickle", "marshal")), file


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("eval('1')", "eval"),
        ("model.eval()", ""),
        ("torch.load(f)", "torch.load without weights_only=True"),
        ("torch.load(f, weights_only=True)", ""),
        ("np.load(f)", "np.load without allow_pickle=False"),
        ("subprocess.run('x', shell=True)", "subprocess.run with a shell"),
        ("subprocess.run('x', shell=flag)", "subprocess.run with a shell"),
        ("subprocess.run(['x'])", ""),
        ("pickle.loads(b)", "pickle.loads"),
        ("archive.extractall()", "archive.extractall of an archive"),
    ],
)
def test_the_scan_sees_what_it_looks_for(tmp_path: Path, code: str, expected: str) -> None:
    file = tmp_path / "code.py"
    file.write_text(code)
    (found,) = calls(file)
    assert problem(*found) == expected
