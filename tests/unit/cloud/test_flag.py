"""One waits, and is woken whenever there is reason to, also at the same moment."""

import asyncio

from cloud.flag import Flag


def test_who_waits_is_woken_once_each_time_it_is_set() -> None:
    """A session would sleep on with an offer that nobody sends, or spin."""

    async def story() -> list[str]:
        flag, told = Flag(), list[str]()

        async def listen() -> None:
            while True:
                await flag.wait()
                flag.clear()
                told.append("woken")

        listening = asyncio.create_task(listen())
        for _ in range(3):
            flag.set()
            flag.set()
            await asyncio.sleep(0.01)
        listening.cancel()
        return told

    assert asyncio.run(story()) == ["woken"] * 3


def test_what_was_set_before_is_not_waited_for() -> None:
    """Something that became due while it was decided would never be done."""

    async def story() -> None:
        flag = Flag()
        flag.set()
        await asyncio.wait_for(flag.wait(), 1)
        flag.clear()
        waiting = asyncio.create_task(flag.wait())
        await asyncio.sleep(0)
        flag.set()
        flag.clear()  # before the one that waits gets its turn: it goes on waiting
        await asyncio.sleep(0.01)
        assert not waiting.done()
        flag.set()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(story())


def test_who_was_ended_while_it_waited_leaves_nothing_behind() -> None:
    """Setting it later would fail, and with it whoever sets it for all sessions."""

    async def story() -> None:
        flag = Flag()
        waiting = asyncio.create_task(flag.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        flag.set()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(flag.wait(), 1)

    asyncio.run(story())
