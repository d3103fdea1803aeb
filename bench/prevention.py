"""How far does a program come that content prevents, and what does the kernel's table cost?

The program writes byte after byte to a pipe, without a library, so that what arrives says how far
it came. The same shipped sensor stops it by a verdict (an instance whose criterion the kernel can't
judge) and in the kernel (one that names its path); without prevention it writes as much as it
likes, here one byte. Time is from the start of the program until its parent knows of its end.

The cost is the time that the kernel counts for the program at an exec, with the table off and with
1 and 256 paths in it, none of which is executed. All three take turns.
"""

import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.supervisor.kernel_table import KernelTable
from bench.harness import Figure, NotMeasurableError, Peer, from_samples, percentile, run
from bench.sensor import put_in_force, sensor, settle
from bench.witness import FOR_EVER, KILLED, is_possible, run_witness, write_witness
from content.definitions import Rung, load_definitions
from content.model import (
    ChannelFile,
    Clause,
    Criterion,
    Disposition,
    Operator,
    Sample,
    Severity,
    TemplateInstance,
    TemplateTypeReference,
)
from content.prevention_table import MAP_NAME, MAX_ENTRIES, Compared, Entry
from content.template_type import TemplateType
from lab.demo.world import World
from probes.errors import ProbeError
from probes.limits import MEBIBYTE
from probes.loader import LoadedProbes, load
from probes.tracefs import mount_privately

RUNS, QUICK_RUNS = 500, 50
ROUNDS, QUICK_ROUNDS = 9, 3
EXECS, QUICK_EXECS = 400, 100
SIZES = (0, 1, MAX_ENTRIES)
VERSION = 1_000
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
NOTHING, BY_VERDICT, BY_KERNEL = "no prevention", "verdict", "kernel"
MILLISECONDS = 1_000.0


@dataclass(frozen=True, slots=True)
class Ends:
    """What became of the runs of one case: bytes written, milliseconds until the end."""

    writes: tuple[float, ...]
    milliseconds: tuple[float, ...]

    @property
    def began(self) -> float:
        """Percentage of runs that executed anything."""
        return 100.0 * sum(count > 0 for count in self.writes) / len(self.writes)


def measure(*, quick: bool) -> list[Figure]:
    """How far a program comes in each case; what an exec costs with a table of each size."""
    if not is_possible():
        raise NotMeasurableError("the program is made for x86-64")
    if os.geteuid() != 0:
        raise NotMeasurableError("needs root")
    mount_privately()
    return [*_distances(QUICK_RUNS if quick else RUNS), *_costs(quick=quick)]


def _distances(runs: int) -> Iterator[Figure]:
    with sensor() as world:
        in_kernel = write_witness(world.folder / "by-path", FOR_EVER)
        by_verdict = write_witness(world.folder / "by-its-name", FOR_EVER)
        free = write_witness(world.folder / "free")
        put_in_force(world, _content(in_kernel, by_verdict))
        settle(world)
        _await_table(world)
        cases = {NOTHING: free, BY_VERDICT: by_verdict, BY_KERNEL: in_kernel}
        found: dict[str, list[tuple[int, float]]] = {name: [] for name in cases}
        for (name, program), _ in itertools.product(cases.items(), range(runs)):
            found[name].append(_one(program, prevented=name != NOTHING))
    ends = {
        name: Ends(*(tuple(map(float, column)) for column in zip(*rows, strict=True)))
        for name, rows in found.items()
    }
    yield from _figures(ends)


def _one(program: Path, *, prevented: bool) -> tuple[int, float]:
    began = time.perf_counter()
    ended = run_witness(program)
    milliseconds = (time.perf_counter() - began) * MILLISECONDS
    if (ended.signal == KILLED) is not prevented:
        raise RuntimeError(f"{program.name} ended by signal {ended.signal}")
    return ended.writes, milliseconds


def _figures(ends: dict[str, Ends]) -> Iterator[Figure]:
    kernel, verdict, nothing = ends[BY_KERNEL], ends[BY_VERDICT], ends[NOTHING]
    yield Figure(
        "prevented in the kernel: runs that executed anything",
        kernel.began,
        "%",
        "= 0",
        (Peer(BY_VERDICT, verdict.began), Peer(NOTHING, nothing.began)),
    )
    for percent in (50, 99):
        yield Figure(
            f"prevented in the kernel: system calls before the end, p{percent}",
            percentile(kernel.writes, percent),
            "calls",
            "= 0",
            Peer(BY_VERDICT, percentile(verdict.writes, percent)),
        )
    for name, percent in itertools.product((BY_KERNEL, BY_VERDICT), (50, 99)):
        yield from_samples(
            f"start of the program to its end, {name}, p{percent}",
            ends[name].milliseconds,
            unit="ms",
            percent=percent,
            peer=Peer(NOTHING, percentile(nothing.milliseconds, percent)),
        )


def _content(in_kernel: Path, by_verdict: Path) -> ChannelFile:
    template_type = next(one for one in load_definitions().values() if one.name == "process")
    exact = _instance(
        template_type, "bench-prevent-path", Operator.EQUALS, os.fsencode(in_kernel), exact=True
    )
    ending = b"/" + os.fsencode(by_verdict.name)
    name = _instance(template_type, "bench-prevent-name", Operator.ENDS_WITH, ending, exact=False)
    reference = TemplateTypeReference(
        template_type.number,
        template_type.version,
        template_type.fingerprint,
        template_type.arity,
    )
    return ChannelFile(reference, VERSION, (exact, name))


def _instance(
    template_type: TemplateType, name: str, operator: Operator, value: bytes, *, exact: bool
) -> TemplateInstance:
    field = next(one.number for one in template_type.fields if one.name == "executable_path")
    criterion = Criterion(field, operator, (value,), case_sensitive=exact)
    matching = value if value.startswith(b"/tmp") else b"/tmp" + value
    return TemplateInstance(
        id=name,
        disposition=Disposition.PREVENT,
        severity=Severity.LOW,
        title="For a benchmark",
        description="For a benchmark",
        attack_techniques=(),
        false_positives=("None: the path exists in benchmarks only",),
        clauses=(Clause((criterion,)),),
        samples=(
            Sample("the path", must_match=True, inputs={field: matching}),
            Sample("another path", must_match=False, inputs={field: b"/opt/other"}),
        ),
    )


def _await_table(world: World) -> None:
    world.wait("the path in the kernel", lambda now: now["prevention"]["kernel_paths"] == 1, 30.0)


def _costs(*, quick: bool) -> Iterator[Figure]:
    rounds, execs = (QUICK_ROUNDS, QUICK_EXECS) if quick else (ROUNDS, EXECS)
    samples: dict[int, list[float]] = {size: [] for size in SIZES}
    with _collection() as probes, tempfile.TemporaryDirectory() as folder, _counting():
        table = KernelTable(probes.shared[MAP_NAME], 0)
        for _ in range(rounds):
            for size in SIZES:
                table.publish(_others(Path(folder), size))
                samples[size].append(_nanoseconds(probes, execs))
        table.close()
    empty = statistics.median(samples[0])
    for size in SIZES:
        yield from_samples(
            f"time in BPF of an exec, {size} paths in the table, median",
            samples[size],
            unit="ns",
            peer=Peer("table off", empty) if size else None,
        )


def _others(folder: Path, count: int) -> list[Entry]:
    paths = [os.fsencode(folder / f"nobody-executes-{number}") for number in range(count)]
    kinds = itertools.cycle(Compared)
    return [Entry(kind, path) for kind, path in zip(kinds, paths, strict=False)]


@contextmanager
def _collection() -> Iterator[LoadedProbes]:
    types = tuple(load_definitions().values())
    sizes = {one.number: 32 * MEBIBYTE for one in types if one.name == "process"}
    try:
        probes = load(types, sizes, Rung.BPF_BTF)
    except ProbeError as error:
        raise NotMeasurableError(error.detail) from error
    try:
        yield probes
    finally:
        probes.close()


@contextmanager
def _counting() -> Iterator[None]:
    """The kernel counts the time of BPF programs."""
    kept = STATISTICS.read_text(encoding="ascii")
    STATISTICS.write_text("1", encoding="ascii")
    try:
        yield
    finally:
        STATISTICS.write_text(kept, encoding="ascii")


def _nanoseconds(probes: LoadedProbes, execs: int) -> float:
    """Mean time per exec in all programs that run at an exec."""
    descriptors = [one for name, one in probes.programs.items() if "exec" in name]
    before = [_counted(one) for one in descriptors]
    _execute(execs)
    after = [_counted(one) for one in descriptors]
    return sum(
        (now[0] - then[0]) / max(1, now[1] - then[1])
        for then, now in zip(before, after, strict=True)
    )


def _execute(count: int) -> None:
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def _counted(descriptor: int) -> Sequence[int]:
    """Nanoseconds and runs of a program until now."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(told["run_time_ns"]), int(told["run_cnt"])


if __name__ == "__main__":
    sys.exit(run(__spec__.name, measure))
