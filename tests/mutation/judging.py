"""Judges mutants: a process for each, forked from one that has everything loaded.

Warm: the tests are collected; in the fork the code of the mutated function is exchanged. Cold:
nothing of the product is imported; in the fork the mutated module is imported anew, and the tests
are collected with it. Cold is for what runs once, while modules are imported.

A mutant is killed by the first test that fails, and by an end of any other kind: an exception
while tests are collected, too much CPU time or memory. Verdicts come back through one pipe, a line
each; the numbers of what is to be judged wait in another one, which all workers read.
"""

import gc
import importlib
import json
import math
import os
import resource
import shutil
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from tests.mutation.importing import import_from
from tests.mutation.mutants import Mutant, module_name
from tests.mutation.session import BROKEN, forked, run_pytest, silence
from tests.mutation.targets import LIMITS

PRELOADED = ("google.protobuf.message", "hyperscan", "numpy", "re2", "yaml")
_SURVIVED, _KILLED = 0, 1
_NUMBER = struct.Struct("I")


@dataclass(frozen=True, slots=True)
class Job:
    """A mutant and the tests that judge it, in order, with the CPU time that each usually takes."""

    mutant: Mutant
    tests: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """killed_by: a test, or what else ended the mutant; "" for a survivor."""

    id: str
    killed_by: str


class JudgingError(Exception):
    """This program itself failed."""


Judge = Callable[[Job], int]


def judge(
    jobs: Sequence[Job], scratch: Path, workers: int, *, cold: bool = False
) -> Iterator[Verdict]:
    """A verdict for each job, as they come."""
    waiting, number = os.pipe()
    os.write(number, b"".join(map(_NUMBER.pack, range(len(jobs)))))
    os.close(number)
    verdicts, told = os.pipe()
    worker = _Worker(jobs, waiting, told, scratch)
    work = worker.cold if cold else worker.warm
    pids = [forked(work) for _ in range(min(workers, len(jobs)))]
    os.close(waiting)
    os.close(told)
    with os.fdopen(verdicts, encoding="utf-8") as lines:
        for line in lines:
            yield Verdict(**json.loads(line))
    for pid in pids:
        if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise JudgingError(f"a worker ended with {code}")


class _Worker:
    """One of several processes that share the work."""

    def __init__(self, jobs: Sequence[Job], waiting: int, told: int, scratch: Path) -> None:
        self._jobs = jobs
        self._waiting = waiting
        self._told = told
        self._scratch = scratch

    def warm(self) -> int:
        """Judge by exchanging functions of modules that are loaded."""
        return run_pytest(_Warm(self))

    def cold(self) -> int:
        """Judge by importing modules anew."""
        silence()
        for module in PRELOADED:
            importlib.import_module(module)
        self.each(self._import_and_run)
        return 0

    def each(self, run: Judge) -> None:
        """Judge until nothing waits; `run` is called in a process of its own."""
        while number := os.read(self._waiting, _NUMBER.size):
            self._judge(self._jobs[_NUMBER.unpack(number)[0]], run)

    def _judge(self, job: Job, run: Judge) -> None:
        folder = self._scratch / job.mutant.id
        folder.mkdir()
        pid = forked(lambda: _confined(job, folder, run))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        shutil.rmtree(folder, ignore_errors=True)  # what a mutant started may still write there
        if code == _SURVIVED:
            self._tell(job, "")
        elif code == BROKEN:
            self._tell(job, "an exception outside of a test")
        elif code != _KILLED:
            self._tell(job, f"signal {-code}" if code < 0 else f"exit status {code}")

    def kill(self, job: Job, killed_by: str) -> None:
        """End a mutant's process with this verdict."""
        self._tell(job, killed_by)
        os._exit(_KILLED)

    def _tell(self, job: Job, killed_by: str) -> None:
        line = json.dumps(asdict(Verdict(job.mutant.id, killed_by))) + "\n"
        os.write(self._told, line.encode())

    def _import_and_run(self, job: Job) -> int:
        import_from(job.mutant.path, job.mutant.code)
        if run_pytest(_Cold(self, job)) != pytest.ExitCode.OK:
            self.kill(job, "collecting the tests")
        return _SURVIVED


def _confined(job: Job, folder: Path, run: Judge) -> int:
    """Run a mutant with a limit to its time and memory, and a place for its tests' files."""
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory = pages * resource.getpagesize() + LIMITS.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow(LIMITS.collecting_seconds)
    return run(job)


def _allow(seconds: float) -> None:
    """End this process once it takes so much more CPU time."""
    limit = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


class _Judging:
    """A pytest plugin that ends the process at the first failure."""

    def __init__(self, worker: _Worker, job: Job | None = None) -> None:
        self._worker = worker
        self._job = job

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if self._job:
            usual = self._job.tests[item.nodeid]
            _allow(LIMITS.cpu_seconds + LIMITS.cpu_factor * usual)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._job and report.failed:
            self._worker.kill(self._job, report.nodeid)


class _Warm(_Judging):
    """Judges mutants in forks instead of running the tests once."""

    def __init__(self, worker: _Worker) -> None:
        super().__init__(worker)
        self._items: dict[str, pytest.Item] = {}
        self._functions: dict[tuple[str, str, int], list[FunctionType]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._functions = _functions()
        self._worker.each(self._exchange_and_run)
        return True

    def _exchange_and_run(self, job: Job) -> int:
        self._job = job
        code = _code_of(job.mutant.code(), job.mutant.function)
        module = module_name(job.mutant.path)
        for function in self._functions[module, code.co_qualname, code.co_firstlineno]:
            function.__code__ = code
        items = [self._items[test] for test in job.tests]
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        return _SURVIVED


class _Cold(_Judging):
    """Runs the tests of one job, in its order."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {test: number for number, test in enumerate(self._job.tests if self._job else ())}
        chosen = [item for item in items if item.nodeid in order]
        items[:] = sorted(chosen, key=lambda item: order[item.nodeid])


def _functions() -> dict[tuple[str, str, int], list[FunctionType]]:
    """All functions by module, qualified name and first line."""
    found = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            code = one.__code__
            found[one.__module__, code.co_qualname, code.co_firstlineno].append(one)
    return found


def _code_of(code: CodeType, qualified_name: str) -> CodeType:
    """The code of a function somewhere in other code."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    for one in inner:
        if one.co_qualname == qualified_name:
            return one
        if qualified_name.startswith(f"{one.co_qualname}."):
            return _code_of(one, qualified_name)
    raise LookupError(f"no function {qualified_name}")
