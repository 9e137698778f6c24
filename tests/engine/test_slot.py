import threading
import time

from engine.slot import Slot


def test_what_was_put_is_taken_once():
    slot: Slot[int] = Slot()
    assert slot.put(1) is False
    assert slot.take(0) == 1
    assert slot.take(0) is None


def test_the_newest_wins_and_the_overwritten_is_told():
    slot: Slot[int] = Slot()
    assert [slot.put(1), slot.put(2), slot.put(3)] == [False, True, True]
    assert slot.take() == 3
    assert slot.put(4) is False


def test_a_false_item_is_an_item():
    slot: Slot[int] = Slot()
    slot.put(0)
    assert slot.put(0) is True
    assert slot.take(0) == 0


def test_taking_waits_no_longer_than_asked():
    slot: Slot[int] = Slot()
    begun = time.monotonic()
    assert slot.take(0.05) is None
    assert 0.04 < time.monotonic() - begun < 5


def test_an_item_wakes_who_waits_for_it():
    slot: Slot[int] = Slot()
    taken: list[int | None] = []
    taker = threading.Thread(target=lambda: taken.append(slot.take()))
    taker.start()
    slot.put(7)
    taker.join(5)
    assert taken == [7]


def test_closing_wakes_everybody_who_waits():
    slot: Slot[int] = Slot()
    taken: list[int | None] = []
    takers = [threading.Thread(target=lambda: taken.append(slot.take())) for _ in range(3)]
    for taker in takers:
        taker.start()
    slot.close()
    for taker in takers:
        taker.join(5)
    assert taken == [None] * 3


def test_after_closing_the_last_can_be_taken_and_nothing_more_be_put():
    slot: Slot[int] = Slot()
    slot.put(1)
    slot.close()
    slot.close()
    assert slot.closed
    assert slot.put(2) is False
    assert (slot.take(), slot.take()) == (1, None)


def test_what_is_cleared_cannot_be_taken():
    slot: Slot[int] = Slot()
    slot.put(1)
    slot.clear()
    assert slot.take(0) is None
    assert slot.put(2) is False


def test_between_threads_every_item_is_taken_or_told_as_overwritten():
    slot: Slot[int] = Slot()
    overwritten = 0
    taken: list[int] = []

    def take_all() -> None:
        while (item := slot.take()) is not None:
            taken.append(item)

    taker = threading.Thread(target=take_all)
    taker.start()
    for item in range(5000):
        overwritten += slot.put(item)
    slot.close()
    taker.join(5)
    assert len(taken) + overwritten == 5000
    assert taken == sorted(taken)
    assert taken[-1] == 4999
