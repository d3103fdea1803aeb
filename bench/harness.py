"""What every benchmark shares: how it is run, what it writes, where it ran.

A benchmark is one module of `bench` that answers one question, says so in the first line of its
docstring, and looks like this:

    def measure(*, quick: bool) -> list[Figure]:
        '''The figures; `quick` is the short form that CI runs.'''
        ...
        return [
            from_samples("exec to detection, p99", seconds, percentile=99, unit="s", bar="<= 0.1"),
            Figure("events lost", value=lost, unit="events", bar="= 0"),
        ]

    if __name__ == "__main__":
        sys.exit(run(__spec__.name, measure))

`python -m bench.NAME [--quick]` then prints the figures and writes `build/bench/NAME.json`:

    {"name", "question", "command", "quick", "environment",
     "figures": [{"name", "value", "unit", "bar", "peer", "samples"}], "notes": [text]}

`bar` is what we hold ourselves to: "<= 3", ">= 100" or "= 0"; missing it does not end the run but
is shown on every page. `peer` is what another tool or way took in the same run, in the same unit;
there may be several of them.
A benchmark that this machine can't run raises `NotMeasurableError` with the reason: it exits with
status 3 and writes nothing. One run with `run_parts` can be asked for one of its parts alone
(`python -m bench.NAME PART`), which is a result of its own. No figure of the project comes from
anywhere else: `bench.figures` makes docs/figures.md from these files.
"""

import argparse
import functools
import json
import math
import operator
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

CHECKOUT = Path(__file__).resolve().parents[1]
RESULTS = CHECKOUT / "build" / "bench"
NOT_MEASURABLE = 3
"""Exit status of a benchmark that this machine can't run."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
}


class NotMeasurableError(Exception):
    """This machine lacks what the benchmark needs; the message says what."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What something else took for the same, in the same run and unit."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `samples` are the single measurements that it was drawn from."""

    name: str
    value: float
    unit: str
    bar: str | None = None
    peer: Peer | tuple[Peer, ...] | None = None
    samples: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.bar is not None:
            meets(self.bar, self.value)


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader of the figures has to know: what was changed, or left out and why."""

    text: str


class Measure(Protocol):
    """The one function of a benchmark."""

    def __call__(self, *, quick: bool) -> Sequence[Figure | Note]:
        """The figures, measured now, and notes on them."""


class MeasurePart(Protocol):
    """The same of a benchmark that can be asked for one of its parts."""

    def __call__(self, *, quick: bool, part: str | None) -> Sequence[Figure | Note]:
        """The figures of this part alone; of all without one."""


def meets(bar: str, value: float) -> bool:
    """Whether a value keeps to a bar; ValueError if the bar is not of the form "<= 3"."""
    sign, _, limit = bar.partition(" ")
    if sign not in COMPARISONS:
        raise ValueError(f"bar {bar!r}: expected one of {', '.join(COMPARISONS)} and a number")
    return COMPARISONS[sign](value, float(limit))


def percentile(samples: Sequence[float], percent: float) -> float:
    """The sample that `percent` of all samples don't exceed (nearest rank; no interpolation)."""
    if not samples:
        raise ValueError("no samples")
    rank = math.ceil(percent / 100 * len(samples))
    return sorted(samples)[max(rank, 1) - 1]


def from_samples(
    name: str,
    samples: Sequence[float],
    *,
    unit: str,
    percent: float | None = None,
    bar: str | None = None,
    peer: Peer | tuple[Peer, ...] | None = None,
) -> Figure:
    """A figure drawn from samples: their median, or the percentile asked for."""
    value = statistics.median(samples) if percent is None else percentile(samples, percent)
    return Figure(name, value, unit, bar, peer, tuple(samples))


def run(module: str, measure: Measure) -> int:
    """Run a benchmark as a command and return its exit status; `module` is its `__spec__.name`."""
    return _run(module, measure, quick=_parser(module).parse_args().quick, part=None)


def run_parts(module: str, measure: MeasurePart, parts: Sequence[str]) -> int:
    """The same for a benchmark that can be asked for one of these parts."""
    parser = _parser(module)
    parser.add_argument("part", nargs="?", choices=parts, metavar="PART", help=", ".join(parts))
    arguments = parser.parse_args()
    asked = functools.partial(measure, part=arguments.part)
    return _run(module, asked, quick=arguments.quick, part=arguments.part)


def _parser(module: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--quick", action="store_true", help="the short form that CI runs")
    return parser


def _run(module: str, measure: Measure, *, quick: bool, part: str | None) -> int:
    name = module.removeprefix("bench.")
    began = time.monotonic()
    try:
        figures = measure(quick=quick)
    except NotMeasurableError as reason:
        print(f"bench: {name}: not measurable here: {reason}", file=sys.stderr)
        return NOT_MEASURABLE
    for one in figures:
        words = f"note: {one.text}" if isinstance(one, Note) else in_words(asdict(one))
        print(f"bench: {name}: {words}")
    path = write(name, figures, quick=quick, part=part)
    print(f"bench: {name}: {path.relative_to(CHECKOUT)} after {time.monotonic() - began:.1f} s")
    return 0


def write(
    name: str, figures: Sequence[Figure | Note], *, quick: bool, part: str | None = None
) -> Path:
    """Write a benchmark's result file, whole or not at all, and return its path."""
    words = [f"bench.{name}", *([] if part is None else [part]), *(["--quick"] if quick else [])]
    document = {
        "name": name,
        "question": question(name) if part is None else f"{question(name)} Only {part}.",
        "command": f".venv/bin/python -m {shlex.join(words)}",
        "quick": quick,
        "environment": environment(),
        "figures": [asdict(one) for one in figures if isinstance(one, Figure)],
        "notes": [one.text for one in figures if isinstance(one, Note)],
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / (f"{name}.json" if part is None else f"{name}.{part.replace(' ', '-')}.json")
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return unfinished.replace(path)


def question(name: str) -> str:
    """The first line of a benchmark's docstring."""
    source = (CHECKOUT / "bench" / f"{name}.py").read_text(encoding="utf-8")
    return source.splitlines()[0].strip('"')


def programs() -> list[str]:
    """Names of all benchmarks: the modules of `bench` that define `measure`."""
    modules = sorted((CHECKOUT / "bench").glob("*.py"))
    return [m.stem for m in modules if "\ndef measure(" in m.read_text(encoding="utf-8")]


def environment() -> dict[str, Any]:
    """Where the figures are from: kernel, processor, memory, Python, real or virtual machine."""
    processor = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "commit": _commit(),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "kernel": platform.release(),
        "distribution": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "processor": _line(processor, "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory,
        "python": platform.python_version(),
        "virtual": "hypervisor" in _line(processor, "flags").split(),
    }


def in_words(figure: dict[str, Any]) -> str:
    """A figure as one line, from its JSON form."""
    text = f"{figure['name']}: {number(figure['value'])} {figure['unit']}".rstrip()
    if figure["peer"]:
        text += f" ({peers_in_words(figure)})"
    if figure["bar"]:
        text += f", bar {figure['bar']}"
        text += "" if meets(figure["bar"], figure["value"]) else " MISSED"
    return text


def peers_in_words(figure: dict[str, Any]) -> str:
    """What others took, from a figure's JSON form; empty where there are none."""
    peers = figure["peer"] or []
    return "; ".join(
        f"{peer['name']}: {number(peer['value'])} {figure['unit']}"
        for peer in ([peers] if isinstance(peers, dict) else peers)
    )


def number(value: float) -> str:
    """A value with four significant digits, never in powers of ten."""
    if float(value).is_integer() or abs(value) >= 1000:  # noqa: PLR2004 - four digits before the point
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 0.001 else f"{value:.7f}"  # noqa: PLR2004 - the same


def _line(text: str, key: str) -> str:
    lines = (line for line in text.splitlines() if line.startswith(key))
    return next(lines, "").partition(":")[2].strip()


def _commit() -> str:
    command = ["git", "-C", str(CHECKOUT), "rev-parse", "--short=12", "HEAD"]
    try:
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return ended.stdout.strip() or "unknown"
