"""The fuzzer's bytes read as choices, so that it varies what is said and not how it is written."""

from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


class Choices:
    """Choices, one byte each, in the order in which they are asked for; 0 once bytes run out."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def number(self, below: int) -> int:
        """A number from 0; `below` is at most 256."""
        return next(self._bytes, 0) % below

    def pick(self, options: Sequence[_T]) -> _T:
        """One of the options; the first one once bytes run out."""
        return options[self.number(len(options))]

    def once_in(self, times: int) -> bool:
        """Whether something rare happens; not once bytes run out."""
        return self.number(times) == times - 1

    def some(self, make: Callable[["Choices"], _T], least: int, most: int) -> tuple[_T, ...]:
        """Between so many things."""
        return tuple(make(self) for _ in range(least + self.number(most - least + 1)))
