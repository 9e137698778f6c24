import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from engine.sources.prefetch import Prefetcher


def test_items_come_in_order():
    reader = Prefetcher(iter(range(100)))
    assert list(reader) == list(range(100))
    assert reader.exhausted
    reader.close()


def test_the_item_ahead_can_be_seen_without_taking_it():
    go_on = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        go_on.wait(5)
        yield 2

    reader = Prefetcher(items())
    assert reader.ahead is None  # nothing is read before the first is asked for
    assert next(reader) == 1 and reader.ahead is None
    go_on.set()
    deadline = time.monotonic() + 5
    while reader.ahead is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert reader.ahead == 2 and next(reader) == 2 and reader.ahead is None
    reader.close()


def test_no_more_items_are_made_ahead_than_may_wait():
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in itertools.count():
            made.append(item)
            yield item

    reader = Prefetcher(items(), depth=3)
    assert next(reader) == 0
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    # One handed out, three waiting, one in the hand of the thread.
    assert made == [0, 1, 2, 3, 4]
    reader.close()


def test_an_error_comes_after_the_items_before_it_and_then_nothing():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    reader = Prefetcher(items())
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(reader)
    assert list(reader) == []
    reader.close()


def test_nothing_runs_before_the_first_item_is_asked_for():
    before = threading.active_count()
    reader = Prefetcher(iter(range(3)))
    assert threading.active_count() == before
    reader.close()
    assert list(reader) == []
    assert not reader.exhausted


def test_closing_waits_for_the_item_in_the_making():
    done = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        time.sleep(0.05)
        done.set()
        yield 1

    reader = Prefetcher(items())
    assert next(reader) == 0
    reader.close()
    assert done.is_set()
    assert list(reader) == []
