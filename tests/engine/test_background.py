import threading

import pytest

from engine.background import Background
from engine.errors import SourceError, SteadyPoseError


class Workshop:
    """Makes upper-case texts when let go, and knows what was thrown away."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.changed = threading.Event()
        self.thrown: list[str] = []
        self.began: list[str] = []
        self.background: Background[str, str] = Background(
            self.make, self.thrown.append, self.changed.set, "workshop"
        )

    def make(self, wish: str) -> str:
        self.began.append(wish)
        self.go.wait(5)
        if wish == "refused":
            raise SourceError("refused; ask for something else")
        if wish == "broken":
            raise ZeroDivisionError("division by zero")
        return wish.upper()


@pytest.fixture
def workshop():
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
    workshop.background.ask("table")
    workshop.go.set()
    workshop.background._threads[0].join()
    workshop.background._threads[1].join()
    assert workshop.background.take() == ("table", "TABLE")
    assert workshop.thrown == ["CHAIR"]


def test_what_nobody_took_is_thrown_away_with_the_next_wish(workshop: Workshop) -> None:
    workshop.go.set()
    workshop.background.ask("chair")
    assert workshop.changed.wait(5)
    workshop.background.ask("table")
    assert workshop.thrown == ["CHAIR"]


def test_a_cancelled_wish_leads_to_nothing(workshop: Workshop) -> None:
    workshop.background.ask("chair")
    assert workshop.background.cancel()
    assert not workshop.background.cancel()
    workshop.go.set()
    workshop.background.close()
    assert workshop.background.take() is None
    assert workshop.thrown == ["CHAIR"]
    assert not workshop.changed.is_set()


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
