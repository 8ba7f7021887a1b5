"""The matrix as text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean, median

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from search_suite.matrix import LEAST_MISSING, Comparison, LeftOut, Matrix, Summary


def print_matrix(matrix: Matrix, measures: Sequence[str], width: int) -> None:
    """A row per problem and a column per arm, median (worst) over seeds; then the arms over all problems."""
    console = Console(width=width, highlight=False, soft_wrap=True)
    for measure in measures:
        console.print(_values_grid(matrix, measure))
        console.print(_summary_grid(matrix, measure))
    console.print(_trouble_grid(matrix))


def print_comparisons(rows: Sequence[Comparison], base: str, measure: str, width: int) -> None:
    """A row per variant: its ratio to `base`."""
    heads = ("variant", "problems", "seeds", "ratio (90 % interval)", "of unlucky seeds", "better on")
    grid = _grid(f"{measure}: variants against {base}, seed by seed; below 1 is better", heads)
    for row in rows:
        ratios = [f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})" for ratio in (row.ratio, row.unlucky)]
        grid.add_row(row.variant, str(row.problems), str(row.seeds), *ratios, str(row.better))
    Console(width=width, highlight=False, soft_wrap=True).print(grid)


def print_left_out(rows: Sequence[LeftOut], measure: str, width: int) -> None:
    """A row per problem: what the others choose, and what that costs."""
    grid = _grid(f"{measure}: leave one out", ("problem", "others choose", "best here", "price"))
    for row in rows:
        grid.add_row(row.problem, row.chosen, row.best, f"{row.price:.3f}")
    console = Console(width=width, highlight=False, soft_wrap=True)
    console.print(grid)
    if rows:
        chosen = sorted({row.chosen for row in rows})
        price = geometric_mean(row.price for row in rows)
        console.print(f"chosen: {', '.join(chosen)}; geometric mean of the price {price:.3f}")


def _values_grid(matrix: Matrix, measure: str) -> Grid:
    heads = [f"{arm} ({max(len(by_arm.get(arm, ())) for by_arm in matrix.runs.values())})" for arm in matrix.arms]
    grid = _grid(f"{measure}: median (worst) over seeds; * best median", ("problem", *heads))
    for problem in matrix.problems:
        medians = {arm: median(matrix.values(problem, arm, measure)) for arm in matrix.runs[problem]}
        cells = [problem]
        for arm in matrix.arms:
            if arm not in medians:
                cells.append("-")
                continue
            worst = max(matrix.values(problem, arm, measure))
            star = "*" if medians[arm] == min(medians.values()) else ""
            cells.append(
                f"{star}{_format(matrix, problem, arm, measure, medians[arm])} ({_format(matrix, problem, arm, measure, worst)})"
            )
        grid.add_row(*cells)
    return grid


def _format(matrix: Matrix, problem: str, arm: str, measure: str, value: float) -> str:
    if not measure.startswith("to"):
        return f"{value - LEAST_MISSING:.4f}"
    length = len(matrix.runs[problem][arm][0].shares)
    return f">{length}" if value > length else f"{value:g}"


def _summary_grid(matrix: Matrix, measure: str) -> Grid:
    heads = ("arm", "problems", "mean rank", "ratio to best", "worst problem", "worst seed / median", "behind on")
    grid = _grid(f"{measure}: over the problems that an arm has", heads)
    for summary in matrix.summaries(measure):
        grid.add_row(*_summary_cells(summary))
    return grid


def _summary_cells(summary: Summary) -> tuple[str, ...]:
    worst, unlucky = summary.worst_problem, summary.worst_seed
    return (
        summary.arm,
        str(summary.problems),
        f"{summary.rank:.2f}",
        f"{summary.ratio:.3f}",
        f"{worst[0]} {worst[1]:.2f}",
        f"{unlucky[0]} {unlucky[1]:.2f}",
        str(len(summary.lost)),
    )


def _trouble_grid(matrix: Matrix) -> Grid:
    heads = ("arm", "runs", "failed trainings", "duplicates", "drawn", "mean s", "95 % s", "largest s", "errors")
    grid = _grid("means of a run, and seconds of CPU time of a suggestion", heads)
    for arm in matrix.arms:
        runs = [run for by_arm in matrix.runs.values() for run in by_arm.get(arm, ())]
        if not runs:
            continue
        means = [sum(getattr(run, name) for run in runs) / len(runs) for name in ("failures", "duplicates", "drawn")]
        errors = [run for run in (*runs, *matrix.unsupported) if run.error and run.arm == arm]
        first = f" ({errors[0].problem}: {errors[0].error[:70]})" if errors else ""
        grid.add_row(
            arm,
            str(len(runs)),
            *(f"{value:.1f}" for value in means),
            f"{sum(run.suggest_s[0] for run in runs) / len(runs):.3f}",
            f"{max(run.suggest_s[1] for run in runs):.3f}",
            f"{max(run.suggest_s[2] for run in runs):.2f}",
            f"{len(errors)}{first}",
        )
    return grid


def _grid(title: str, heads: Sequence[str]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, head in enumerate(heads):
        grid.add_column(head, justify="right" if index else "left", no_wrap=True)
    return grid
