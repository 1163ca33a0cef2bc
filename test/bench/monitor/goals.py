"""What was set as a goal for a figure, and whether it was reached.

The medians decide. A machine that has other work to do spoils many tries; the best ones show what the programs do when they
are left alone, so their ratio stands beside that of the medians.
"""

from __future__ import annotations

from dataclasses import dataclass

from test.bench.figures import Figures, Series, cell
from test.bench.monitor.latency import ALONE, BESIDE, BURSTS

RATES = ("MB/s", "k/s")
HEAD = ("", "unit", "ours", "best", "theirs", "best", "ratio", "of the best", "floor", "goal", "reached")


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on ours / theirs: the least for a rate, the most for everything else.

    ``most`` bounds our figure itself too. With ``beside`` the ratio is that to another figure of ours.
    """

    ratio: float
    most: float | None = None
    beside: str | None = None

    def words(self, unit: str) -> str:
        """The goal as it is shown."""
        if self.beside is not None:
            return f"<= {self.ratio} of ours{ALONE}"
        own = "" if self.most is None else f", <= {self.most} {unit}"
        return f"{'>=' if unit in RATES else '<='} {self.ratio}{own}"

    def is_reached(self, unit: str, ratio: float, own: float) -> bool:
        """Whether a ratio, and our figure, are on the good side."""
        good = ratio >= self.ratio if unit in RATES else ratio <= self.ratio
        return good and (self.most is None or own <= self.most)


MEMORY_COUNTS = (1, 20, 100)
GOALS = {
    **{f"PSS each, {count} containers": Goal(0.25, most=0.1) for count in MEMORY_COUNTS},
    "80-byte lines in 64-KiB writes": Goal(2.5),
    "80-byte lines in 64-KiB writes: CPU": Goal(0.4),
    "16-KiB lines in 64-KiB writes": Goal(1.5),
    "16-KiB lines one by one": Goal(1.5),
    "start to report, runc": Goal(0.9),
    "start to report, crun": Goal(0.7),
    **{f"{name}{BESIDE}": Goal(1.1, beside=f"{name}{ALONE}") for name in BURSTS},
    f"attach and first echo{BESIDE}": Goal(1.1, beside="attach and first echo"),
    f"echo{BESIDE}": Goal(1.1, beside="echo"),
}


def best(series: Series) -> float:
    """The best try: the highest rate, the lowest of everything else."""
    return max(series.values) if series.unit in RATES else min(series.values)


def median(series: Series) -> float:
    """The median, by nearest rank."""
    return series.summary()["p50"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure against its peer. ``reached`` is "" without a goal, else "yes", "no" or "best tries only"."""

    name: str
    ratio: float | None
    best_ratio: float | None
    goal: str
    reached: str


def judge(name: str, ours: Figures, other: Figures | None) -> Verdict:
    """The verdict on one figure; without something to compare it with there is none."""
    series, goal = ours.series[name], GOALS.get(name)
    base = ours.series.get(goal.beside) if goal is not None and goal.beside is not None else other.series.get(name) if other else None
    if base is None or not median(base) or not best(base):
        return Verdict(name, None, None, "", "")
    ratio, best_ratio = median(series) / median(base), best(series) / best(base)
    if goal is None:
        return Verdict(name, ratio, best_ratio, "", "")
    reached = "no"
    if goal.is_reached(series.unit, ratio, median(series)):
        reached = "yes"
    elif goal.is_reached(series.unit, best_ratio, best(series)):
        reached = "best tries only"
    return Verdict(name, ratio, best_ratio, goal.words(series.unit), reached)


def _pair(series: Series | None, unit: str) -> tuple[str, str]:
    return ("-", "-") if series is None else (cell(median(series), unit), cell(best(series), unit))


def rows(ours: Figures, other: Figures | None, floor: Figures) -> list[tuple[str, ...]]:
    """Every figure with its peer, the floor under it, its goal and the verdict."""
    found = []
    for name, series in ours.series.items():
        verdict = judge(name, ours, other)
        ratios = ["-" if ratio is None else f"{ratio:.2f}" for ratio in (verdict.ratio, verdict.best_ratio)]
        theirs = _pair(other.series.get(name) if other else None, series.unit)
        under = _pair(floor.series.get(name), series.unit)[0]
        found.append((name, series.unit, *_pair(series, series.unit), *theirs, *ratios, under, verdict.goal, verdict.reached))
    return found


def verdicts(ours: Figures, other: Figures | None) -> dict[str, object]:
    """The verdicts on all figures that have a goal, for JSON."""
    judged = [judge(name, ours, other) for name in ours.series if name in GOALS]
    return {one.name: {"ratio": one.ratio, "of the best": one.best_ratio, "goal": one.goal, "reached": one.reached} for one in judged}
