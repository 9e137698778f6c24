import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine.background import Background
from engine.errors import SourceError, SteadyPoseError


class Workshop:
    """Makes upper-case texts when let go, and knows what was thrown away."""

    def __init__(self, **options: Any) -> None:
        self.go = threading.Event()
        self.changed = threading.Event()
        self.making = threading.Event()
        self.thrown: list[str] = []
        self.began: list[str] = []
        self.background: Background[str, str] = Background(
            self.make, self.thrown.append, self.changed.set, "workshop", **options
        )

    def make(self, wish: str) -> str:
        self.began.append(wish)
        self.making.set()
        self.go.wait(5)
        if wish == "refused":
            raise SourceError("refused; ask for something else")
        if wish == "broken":
            raise ZeroDivisionError("division by zero")
        return wish.upper()


@pytest.fixture
def workshop() -> Iterator[Workshop]:
    shop = Workshop()
    yield shop
    shop.go.set()
    shop.background.close()


def test_what_was_asked_for_can_be_taken_once(workshop: Workshop) -> None:
    workshop.background.ask("chair")
    assert workshop.background.wanted == "chair"
    assert workshop.background.take() is None
    workshop.go.set()
    assert workshop.changed.wait(5)
    assert workshop.background.wanted == "chair"
    assert workshop.background.take() == ("chair", "CHAIR")
    assert workshop.background.take() is None
    assert workshop.background.wanted is None
    assert workshop.thrown == []


def test_a_newer_wish_throws_away_what_the_one_before_leads_to(workshop: Workshop) -> None:
    workshop.background.ask("chair")
    assert workshop.making.wait(5)
    workshop.background.ask("table")
    workshop.go.set()
    for thread in list(workshop.background._threads):
        thread.join()
    assert workshop.background.take() == ("table", "TABLE")
    assert workshop.thrown == ["CHAIR"]


def test_what_nobody_took_is_thrown_away_with_the_next_wish(workshop: Workshop) -> None:
    workshop.go.set()
    workshop.background.ask("chair")
    assert workshop.changed.wait(5)
    workshop.background.ask("table")
    for thread in list(workshop.background._threads):
        thread.join()
    assert workshop.thrown == ["CHAIR"]
    assert workshop.background.take() == ("table", "TABLE")


def test_a_cancelled_wish_leads_to_nothing(workshop: Workshop) -> None:
    workshop.background.ask("chair")
    assert workshop.making.wait(5)
    assert workshop.background.cancel()
    assert not workshop.background.cancel()
    workshop.go.set()
    workshop.background.close()
    assert workshop.background.take() is None
    assert workshop.thrown == ["CHAIR"]
    assert not workshop.changed.is_set()


def test_of_many_wishes_that_need_the_same_only_the_first_and_the_last_are_begun() -> None:
    shop = Workshop(needs=lambda _wish: "saw")
    shop.background.ask("0")
    assert shop.making.wait(5)
    for number in range(1, 100):
        shop.background.ask(str(number))
    shop.go.set()
    assert shop.changed.wait(5)
    assert shop.background.take() == ("99", "99")
    shop.background.close()
    assert shop.began == ["0", "99"]
    assert shop.thrown == ["0"]


def test_what_needs_the_same_is_begun_when_the_one_before_is_gone() -> None:
    order: list[str] = []

    def make(wish: str) -> str:
        order.append(f"make {wish}")
        return wish

    def dispose(made: str) -> None:
        time.sleep(0.05)
        order.append(f"dispose {made}")

    changed = threading.Event()
    background: Background[str, str] = Background(make, dispose, changed.set, "workshop", lambda _wish: "saw")
    background.ask("chair")
    assert changed.wait(5)
    changed.clear()
    background.ask("table")
    assert changed.wait(5)
    background.close()
    assert order == ["make chair", "dispose chair", "make table", "dispose table"]


def test_what_needs_something_else_does_not_wait() -> None:
    shop = Workshop(needs=lambda wish: wish[0])
    shop.background.ask("chair")
    assert shop.making.wait(5)
    shop.making.clear()
    shop.background.ask("table")
    assert shop.making.wait(1)
    shop.go.set()
    shop.background.close()


def test_giving_up_waits_for_nothing(workshop: Workshop) -> None:
    slow = threading.Event()
    workshop.background._dispose = lambda _made: slow.wait(5)  # type: ignore[assignment]
    workshop.go.set()
    workshop.background.ask("chair")
    assert workshop.changed.wait(5)
    begin = time.monotonic()
    workshop.background.cancel()
    assert time.monotonic() - begin < 1
    slow.set()


@pytest.mark.parametrize(
    ("wish", "sentence"), [("refused", "refused; ask"), ("broken", "unexpected ZeroDiv")]
)
def test_an_error_is_handed_over_as_a_sentence(
    workshop: Workshop, wish: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    workshop.go.set()
    workshop.background.ask(wish)
    assert workshop.changed.wait(5)
    outcome = workshop.background.take()
    assert outcome is not None and isinstance(outcome[1], SteadyPoseError)
    assert str(outcome[1]).startswith(sentence)


def test_closing_leaves_no_thread() -> None:
    shop = Workshop()
    shop.background.ask("chair")
    shop.go.set()
    shop.background.close()
    assert not any(thread.name == "workshop" for thread in threading.enumerate())
