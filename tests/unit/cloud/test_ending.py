"""A block that is ended from outside."""

import asyncio

import pytest

from cloud.ending import Ending


class WhyError(Exception):
    """A reason."""


def test_who_waits_hears_why() -> None:
    """A session that has to end tells its agent the reason, and not that it was cancelled."""

    async def scene() -> int:
        ending = Ending()
        asyncio.get_running_loop().call_soon(ending.because, WhyError("first"))
        asyncio.get_running_loop().call_soon(ending.because, WhyError("second"))
        with pytest.raises(WhyError, match="first"), ending:
            await asyncio.sleep(60)
        await asyncio.sleep(0)  # and goes on as if nobody had cancelled it
        task = asyncio.current_task()
        return -1 if task is None else task.cancelling()

    assert asyncio.run(scene()) == 0


def test_a_cancellation_by_others_stays_one() -> None:
    """The connection was lost: there is nobody to tell a reason, even if there is one."""

    async def session(ending: Ending) -> None:
        with ending:
            await asyncio.sleep(60)

    async def scene(*, with_reason: bool) -> None:
        ending = Ending()
        task = asyncio.create_task(session(ending))
        await asyncio.sleep(0)
        if with_reason:
            ending.because(WhyError())
        task.cancel()
        await task

    for with_reason in (False, True):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(scene(with_reason=with_reason))


def test_what_ended_before_it_began_does_nothing() -> None:
    """Another session of the same agent may be faster than this one's first step."""

    async def scene() -> None:
        ending = Ending()
        ending.because(WhyError())
        with ending:
            pytest.fail("the block was carried out")

    with pytest.raises(WhyError):
        asyncio.run(scene())


def test_without_a_reason_nothing_happens() -> None:
    """What the block raises, or gives back, comes through."""

    async def scene() -> None:
        with pytest.raises(KeyError), Ending():
            raise KeyError
        with Ending() as ending:
            await asyncio.sleep(0)
        ending.because(WhyError())
        await asyncio.sleep(0)

    asyncio.run(scene())
