"""Who loses the race for a correlation key begins again, and finds the incident that won."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from bot.core.errors import KeyTaken
from bot.desk.again import written
from bot.desk.ports import Store


class Raced:
    """A store in which another was faster so many times."""

    def __init__(self, times: int) -> None:
        self.left, self.asked = times, 0

    async def awrite(self, work: Callable[[Any], Any]) -> Any:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise KeyTaken("orders")
        return work(None)


@pytest.mark.parametrize(("times", "asked"), [(0, 1), (1, 2)])
async def test_it_is_carried_out_once_more_and_once_alone(times: int, asked: int) -> None:
    store = Raced(times)
    assert await written(cast(Store, store), lambda _: "done") == "done"
    assert store.asked == asked


async def test_who_loses_twice_is_told() -> None:
    store = Raced(2)
    with pytest.raises(KeyTaken):
        await written(cast(Store, store), lambda _: "done")
    assert store.asked == 2
