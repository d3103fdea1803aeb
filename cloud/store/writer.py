"""One writer for all sessions: whatever waits is committed in one transaction.

Jobs that are `Together` and follow each other are stored by the same few statements, since building
and running a statement for one row costs as much as for a hundred.

`Writer.submit` returns when its job is on the disk. A job that fails by itself is isolated: the
others of its group are stored. If the database refuses, the whole group fails and nothing of it is
stored; sensors keep their reports and send them again.
"""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from sqlalchemy import Connection

from cloud import journal
from cloud.errors import CloudReason, StoreError
from cloud.limits import CloudLimits
from cloud.store.database import Database

T = TypeVar("T")
Job = Callable[[Connection], Any]


class Together(ABC):
    """A job that can be stored with others of its kind; one with a `Job`'s signature, too."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def store(cls, connection: Connection, jobs: Sequence[Self]) -> Sequence[Exception | None]:
        """Store these in their order; for each of them why nothing of it was stored, or None."""

    def __call__(self, connection: Connection) -> None:
        """Store this one; raises why it was not."""
        (error,) = self.store(connection, [self])
        if error is not None:
            raise error


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Job
    done: "asyncio.Future[Any]"


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class Writer:
    """Runs jobs in a thread of its own, several to a transaction."""

    def __init__(self, database: Database, limits: CloudLimits) -> None:
        self._database = database
        self._limits = limits
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    def submit(self, job: Callable[[Connection], T]) -> "Coroutine[Any, Any, T]":
        """Queue the job at once; await the result for its commit.

        Raises StoreError where the database refuses. Sessions wait for their jobs, so that the
        queue is no longer than a few jobs per session.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(job, done))
        return _result(done)

    def post(self, job: Job) -> None:
        """Queue a job whose outcome nobody waits for; a failure is logged."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_log_failure)
        self._queue.put_nowait(_Waiting(job, done))

    async def run(self) -> None:
        """Commit group after group until `close`; what was queued before it is committed."""
        while group := await self._group():
            jobs = [waiting.job for waiting in group]
            outcomes = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._all, jobs
            )
            for waiting, outcome in zip(group, outcomes, strict=True):
                _settle(waiting.done, outcome)
        self._thread.shutdown()

    def close(self) -> None:
        """Let `run` end once everything queued so far is stored."""
        self._queue.put_nowait(None)

    async def _group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        while not self._closed and len(group) < self._limits.group_commit:
            if group and self._queue.empty():
                break
            waiting = await self._queue.get()
            if waiting is None:
                self._closed = True
            else:
                group.append(waiting)
        return group

    def _all(self, jobs: list[Job]) -> list[Any]:
        try:
            return self._together(jobs)
        except StoreError as error:
            if error.reason is not CloudReason.DATABASE_ERROR:  # the database, not a job
                return [_Failed(error)] * len(jobs)
            return [self._alone(job) for job in jobs]
        except Exception:  # noqa: BLE001  a faulty job must cost nobody else's
            return [self._alone(job) for job in jobs]

    def _together(self, jobs: list[Job]) -> list[Any]:
        outcomes: list[Any] = []
        with self._database.writing() as connection:
            for _, group in itertools.groupby(jobs, type):
                some = list(group)
                if together := [job for job in some if isinstance(job, Together)]:
                    errors = type(together[0]).store(connection, together)
                    outcomes += [error and _Failed(error) for error in errors]
                else:
                    outcomes += [job(connection) for job in some]
        return outcomes

    def _alone(self, job: Job) -> Any:
        try:
            return self._together([job])[0]
        except Exception as error:  # noqa: BLE001  handed to whoever submitted the job
            return _Failed(error)


async def _result(done: "asyncio.Future[T]") -> T:
    return await done


def _settle(done: "asyncio.Future[Any]", outcome: Any) -> None:
    if done.done():  # whoever waited was cancelled
        return
    if isinstance(outcome, _Failed):
        done.set_exception(outcome.error)
    else:
        done.set_result(outcome)


def _log_failure(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled() and (error := done.exception()):
        journal.warning("store_failed", error=error)
