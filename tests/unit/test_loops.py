"""A turn taker ends when it is told to, whatever comes at that moment."""

from __future__ import annotations

import asyncio
import contextlib

from bot.loops import Loop


async def test_a_loop_that_is_woken_in_the_moment_in_which_it_is_stopped_ends() -> None:
    turns, begun = 0, asyncio.Event()

    async def turn() -> int:
        nonlocal turns
        turns += 1
        begun.set()
        return 0

    loop = Loop("woken", turn, every_s=60)
    loop.start()
    await begun.wait()
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        loop.wake()
        await loop.stop()
    assert turns == 1, "no turn after it was told to end"


async def test_a_loop_whose_turn_loses_a_cancellation_ends() -> None:
    begun = asyncio.Event()

    async def turn() -> int:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return 1

    loop = Loop("deaf", turn, every_s=60)
    loop.start()
    await begun.wait()
    async with asyncio.timeout(30):
        await loop.stop()
    begun.clear()
    await asyncio.sleep(0)
    assert not begun.is_set(), "no turn after it was told to end"


async def test_a_wake_takes_the_next_turn_at_once_and_a_tick_without_it() -> None:
    turns: asyncio.Queue[None] = asyncio.Queue()

    async def turn() -> int:
        turns.put_nowait(None)
        return 0

    slow = Loop("slow", turn, every_s=3600)
    slow.start()
    async with asyncio.timeout(30):
        await turns.get()
        slow.wake()
        await turns.get()
        await slow.stop()
        quick = Loop("quick", turn, every_s=0.01)
        quick.start()
        for _ in range(3):
            await turns.get()
        await quick.stop()
    assert turns.qsize() <= 1, "none after it was told to end but one that was under way"
