"""What was asked for is done, once at a time, until it fails or is ended."""

import asyncio
from collections.abc import Awaitable, Callable

from cloud.errand import Errand


class Work:
    """Takes a while; says how often it was begun, and how often at the same time."""

    def __init__(self) -> None:
        self.begun = self.at_once = self.most_at_once = 0
        self.go_on = asyncio.Event()
        self.trouble: list[Exception] = []
        self.raises: Exception | None = None

    async def do(self) -> None:
        """One round."""
        self.begun += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go_on.wait()
            if self.raises is not None:
                raise self.raises
        finally:
            self.at_once -= 1


def told(story: Callable[[Work, Errand], Awaitable[None]]) -> Work:
    """Run a story with one errand."""

    async def run() -> Work:
        work = Work()
        async with asyncio.timeout(5):
            await story(work, Errand(work.do, work.trouble.append))
        return work

    return asyncio.run(run())


async def turns() -> None:
    """Let everybody do what there is to do now."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_is_asked_for_meanwhile_is_done_afterwards_once() -> None:
    """Something that became due while the last thing was done would never be done."""

    async def story(work: Work, errand: Errand) -> None:
        errand.ask()
        await turns()
        for _ in range(3):
            errand.ask()
        work.go_on.set()
        await turns()
        assert work.begun == 2
        errand.ask()
        await turns()
        assert work.begun == 3

    assert told(story).most_at_once == 1


def test_a_failure_is_told_and_ends_it() -> None:
    """A session would go on that can't send any more."""

    async def story(work: Work, errand: Errand) -> None:
        work.raises = KeyError("no")
        work.go_on.set()
        errand.ask()
        errand.ask()
        await turns()
        errand.ask()
        await turns()

    work = told(story)
    assert [type(error) for error in work.trouble] == [KeyError]
    assert work.begun == 1


def test_whoever_ends_it_waits_until_it_has_stopped() -> None:
    """A message would be written to a session that is over."""

    async def story(work: Work, errand: Errand) -> None:
        errand.ask()
        await turns()
        await errand.end()
        assert work.at_once == 0
        errand.ask()
        await turns()
        assert work.begun == 1
        await errand.end()

    assert told(story).trouble == []
