from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app.session_takes import Break, SessionTakes, can_record
from app.takes import TakeOptions
from engine.live import LiveSession
from engine.live_values import LiveResult, SourceRequest
from engine.skeleton import COCO17
from engine.sources import SourceInfo
from engine.structures import Frame, Result

INFO = SourceInfo("Desk camera", None, (48, 64), 30.0, None, None, live=True)


class Session:
    """A session that does what a test says, and its one sink."""

    def __init__(self) -> None:
        self.status = SimpleNamespace(
            state="playing", ready=True, info=INFO, request=SourceRequest("0", "Camera 0")
        )
        self.skeleton: Any = COCO17
        self.sinks: list[Any] = []
        self.on_status = lambda: None
        self._index = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "status" and "on_status" in object.__getattribute__(self, "__dict__"):
            object.__getattribute__(self, "on_status")()
        return object.__getattribute__(self, name)

    def add_sink(self, sink: Any) -> None:
        self.sinks = [sink]

    def remove_sink(self, sink: Any) -> None:
        self.sinks = [other for other in self.sinks if other is not sink]

    def describe(self) -> dict[str, Any]:
        return {}

    def show(self, count: int = 1) -> None:
        for _ in range(count):
            self._index += 1
            image = np.zeros((48, 64, 3), np.uint8)
            frame = Frame(image, self._index, self._index / 30, wall_time=1e9 + self._index / 30)
            for sink in self.sinks:
                sink.write(LiveResult(Result(frame, ()), 0.0, 0.0))

    def break_off(self, reason: str, *, lost: bool = False) -> None:
        for sink in self.sinks:
            sink.break_off(reason, lost=lost)


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def news() -> list[str]:
    return []


@pytest.fixture
def takes(session: Session, news: list[str]) -> Iterator[SessionTakes]:
    made = SessionTakes(cast(LiveSession, session), lambda: news.append("changed"))
    yield made
    made.close()


@pytest.fixture
def options(tmp_path: Path) -> TakeOptions:
    return TakeOptions(tmp_path, "", annotated_video=False, keep_empty=True)


def frames(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines()) - 1


def test_a_take_holds_what_was_shown_between_its_start_and_its_end(
    takes: SessionTakes, session: Session, options: TakeOptions, tmp_path: Path
) -> None:
    session.show(3)
    assert takes.start(options) and takes.recording
    session.show(5)
    takes.stop()
    session.show(4)
    takes.close()
    assert frames(tmp_path / "Camera_0-take-001.csv") == 5
    assert session.sinks == []


@pytest.mark.parametrize(
    "changes",
    [{"state": "opening"}, {"state": "failed"}, {"ready": False}, {"info": None}, {"request": None}],
)
def test_where_there_is_nothing_to_record_no_take_begins(
    takes: SessionTakes, session: Session, options: TakeOptions, tmp_path: Path, changes: dict[str, object]
) -> None:
    vars(session.status).update(changes)
    assert not takes.start(options)
    assert not takes.recording and session.sinks == [] and list(tmp_path.iterdir()) == []
    assert can_record(cast(Any, session.status)) == ("request" in changes)


def test_a_take_ends_with_its_frames_and_the_next_begins_when_the_lost_source_is_back(
    takes: SessionTakes, session: Session, options: TakeOptions, news: list[str], tmp_path: Path
) -> None:
    takes.start(options)
    session.show(4)
    session.status.state = "reconnecting"
    session.break_off("Desk camera was lost", lost=True)
    assert news == ["changed"]
    session.show(2)
    assert takes.settle() == Break("Desk camera was lost", lost=True)
    assert not takes.recording
    takes.recorder.wait()
    assert takes.settle() is None and not takes.recording
    session.status.state = "playing"
    assert takes.settle() is None and takes.recording
    session.show(3)
    takes.close()
    assert [frames(path) for path in sorted(tmp_path.glob("*.csv"))] == [4, 3]


def test_a_source_that_is_back_before_anybody_looked_begins_a_take_all_the_same(
    takes: SessionTakes, session: Session, options: TakeOptions, news: list[str]
) -> None:
    takes.start(options)
    session.show(2)
    session.break_off("Desk camera was lost", lost=True)
    news.clear()
    assert takes.settle() is not None and not takes.recording
    assert news == ["changed"]
    assert takes.settle() is None and takes.recording


def test_a_break_that_is_no_loss_ends_the_take_for_good(
    takes: SessionTakes, session: Session, options: TakeOptions
) -> None:
    takes.start(options)
    session.break_off("the playing position was changed")
    assert takes.settle() == Break("the playing position was changed", lost=False)
    assert takes.settle() is None and not takes.recording


def test_only_the_first_of_several_breaks_counts(
    takes: SessionTakes, session: Session, options: TakeOptions, news: list[str]
) -> None:
    takes.start(options)
    session.break_off("the file came to its end")
    session.break_off("another source was opened")
    assert news == ["changed"]
    assert takes.settle() == Break("the file came to its end", lost=False)


def test_who_stops_while_the_source_is_away_waits_for_nothing(
    takes: SessionTakes, session: Session, options: TakeOptions
) -> None:
    takes.start(options)
    session.status.state = "reconnecting"
    session.break_off("Desk camera was lost", lost=True)
    takes.settle()
    takes.stop()
    session.status.state = "playing"
    assert takes.settle() is None and not takes.recording


@pytest.mark.parametrize("state", ["failed", "empty"])
def test_a_source_that_is_given_up_is_waited_for_no_more(
    takes: SessionTakes, session: Session, options: TakeOptions, state: str
) -> None:
    takes.start(options)
    session.status.state = "reconnecting"
    session.break_off("Desk camera was lost", lost=True)
    takes.settle()
    session.status.state = state
    takes.settle()
    session.status.state = "playing"
    assert takes.settle() is None and not takes.recording


def test_a_break_while_a_take_begins_is_not_missed(
    takes: SessionTakes, session: Session, options: TakeOptions
) -> None:
    session.on_status = lambda: session.break_off("another source was opened")
    assert takes.start(options)
    session.on_status = lambda: None
    assert takes.settle() == Break("another source was opened", lost=False)
    assert not takes.recording


def test_a_break_of_before_does_not_end_the_take_that_begins(
    takes: SessionTakes, session: Session, options: TakeOptions
) -> None:
    takes.start(options)
    takes.stop()
    takes.break_off("the playing position was changed", lost=False)
    takes.start(options)
    assert takes.settle() is None and takes.recording


def test_after_a_take_that_failed_another_can_begin(
    takes: SessionTakes, session: Session, options: TakeOptions, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    takes.start(TakeOptions(tmp_path / "file", "", annotated_video=False))
    takes.recorder.wait()
    assert takes.status is not None and takes.status.state == "failed"
    assert takes.start(options)
    session.show(2)
    takes.close()
    assert frames(tmp_path / "Camera_0-take-001.csv") == 2
