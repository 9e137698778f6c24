"""What every live source does, with readers that follow a script."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from engine.errors import SourceError
from engine.sources import live
from engine.sources.live import LiveSource, open_live
from engine.structures import Image


def picture(grey: int = 0, size: tuple[int, int] = (4, 6)) -> Image:
    return np.full((*size, 3), grey, np.uint8)


class Scripted:
    """A reader that gives what it is told: pictures, capture times, an error, or None when it is lost."""

    def __init__(self, steps: Sequence[Any], stop: threading.Event, *, last: Any = "wait") -> None:
        self.fps: float | None = 25.0
        self.warnings: list[str] = []
        self.closed = False
        self._steps = iter(steps)
        self._stop = stop
        self._last = last

    def read(self) -> tuple[Image, float | None] | None:
        step = next(self._steps, self._last)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            self._stop.wait(10)
            return None
        return step

    def close(self) -> None:
        self.closed = True


class Script:
    """An opener: each time it is called it gives the next of its readers, or raises."""

    def __init__(self, *rounds: Any) -> None:
        self.readers: list[Scripted] = []
        self.calls = 0
        self._rounds = iter(rounds)

    def __call__(self, stop: threading.Event) -> Scripted:
        self.calls += 1
        steps = next(self._rounds, [])
        if isinstance(steps, Exception):
            raise steps
        self.readers.append(Scripted(steps, stop))
        return self.readers[-1]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(live, "LAST_RETRY_S", 0.04)


@pytest.fixture
def opened() -> Iterator[Callable[[Any], LiveSource]]:
    sources: list[LiveSource] = []

    def open_one(script: Any) -> LiveSource:
        sources.append(open_live("desk camera", script))
        return sources[-1]

    yield open_one
    for source in sources:
        source.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


Opened = Callable[[Any], LiveSource]


def test_what_is_known_after_the_first_picture(opened: Opened):
    source = opened(Script([(picture(3), None)]))
    info = source.info
    assert (info.name, info.path, info.size, info.fps) == ("desk camera", None, (4, 6), 25.0)
    assert (info.live, info.duration_s, info.frame_count) == (True, None, None)
    assert (source.state, source.state_message, source.missing_end) == ("streaming", "", None)
    frame = next(source)
    assert (frame.index, frame.time_s) == (0, 0.0)
    assert frame.wall_time == pytest.approx(time.time(), abs=5)
    assert source.frames_read == 1


def test_the_newest_frame_is_taken_and_those_before_it_are_counted_and_leave_a_hole(opened: Opened):
    source = opened(Script([(picture(grey), None) for grey in range(10)]))
    wait_until(lambda: source.frames_dropped == 9)
    frame = next(source)
    assert (frame.index, frame.image[0, 0, 0], source.frames_read) == (9, 9, 1)


def test_times_are_those_of_capture_and_only_ever_grow(opened: Opened):
    zero = time.monotonic() - 3.0
    stop_and_go = threading.Semaphore(1)

    class Stepped(Scripted):
        def read(self) -> tuple[Image, float | None] | None:
            stop_and_go.acquire(timeout=5)
            return super().read()

    steps = [(picture(), zero + offset) for offset in (0.0, 0.5, 0.4, 0.5, 2.0)]
    source = opened(lambda stop: Stepped(steps, stop))
    times = []
    for _ in steps:
        times.append(next(source).time_s)
        stop_and_go.release()
    assert source.clock_zero_s == zero
    assert (times[0], times[1], times[4]) == (0.0, pytest.approx(0.5), pytest.approx(2.0))
    assert (np.diff(times) > 0).all()


def test_a_capture_time_in_the_future_is_taken_for_now(opened: Opened):
    source = opened(Script([(picture(), time.monotonic() + 100)]))
    assert source.clock_zero_s <= time.monotonic()


def test_waiting_for_a_frame_ends_when_time_is_up(opened: Opened):
    source = opened(Script([(picture(), None)]))
    assert source.next_within(5) is not None
    begun = time.monotonic()
    assert source.next_within(0.05) is None
    assert time.monotonic() - begun < 4
    assert source.frames_read == 1


def test_a_lost_reader_is_closed_and_opened_again_and_frames_go_on(opened: Opened):
    script = Script(
        [(picture(1), None), None],
        SourceError("it is not there"),
        [None],
        [(picture(2), None)],
    )
    source = opened(script)
    wait_until(lambda: source.state == "streaming" and bool(source.warnings))
    frame = next(source)
    assert (frame.index, frame.image[0, 0, 0]) == (1, 2)
    assert [reader.closed for reader in script.readers] == [True, True, False]
    assert source.warnings[0].startswith("no pictures for ")
    assert "after frame 0: desk camera gives no more pictures" in source.warnings[0]
    assert len(source.warnings) == 1
    source.close()
    assert script.readers[-1].closed


def test_while_it_is_tried_again_the_state_says_so_and_why(opened: Opened):
    class Gone(Script):
        def __call__(self, stop: threading.Event) -> Scripted:
            if self.calls:
                self.calls += 1
                raise SourceError("the cable is out")
            return super().__call__(stop)

    script = Gone([(picture(), None), None])
    source = opened(script)
    wait_until(lambda: "the cable is out; trying again (attempt" in source.state_message)
    assert source.state == "reconnecting"
    assert next(source).index == 0
    assert source.next_within(0.02) is None
    wait_until(lambda: script.calls > 4)
    source.close()
    assert source.state == "ended"
    assert [text.split(" after ")[1] for text in source.warnings] == [
        "frame 0: desk camera gives no more pictures"
    ]


def test_why_a_reader_was_lost_is_told(opened: Opened):
    source = opened(
        Script([(picture(), None), SourceError("the lens fell off")], [(picture(), None)]),
    )
    wait_until(lambda: bool(source.warnings))
    assert source.warnings[0].endswith("the lens fell off")


def test_pictures_of_another_size_are_fitted_and_said_once(opened: Opened):
    source = opened(
        Script([(picture(), None), None], [(picture(200, (20, 10)), None), (picture(200, (20, 10)), None)])
    )
    wait_until(lambda: source.frames_dropped == 2)
    frame = next(source)
    assert frame.image.shape == (4, 6, 3)
    assert frame.image[2, 3].tolist() == [200] * 3
    sizes = [text for text in source.warnings if "10x20" in text]
    assert len(sizes) == 1
    assert "the 6x4 of the first" in sizes[0]


def test_warnings_of_a_reader_are_passed_on_once(opened: Opened):
    class Warned(Scripted):
        def __init__(self, steps: Sequence[Any], stop: threading.Event) -> None:
            super().__init__(steps, stop)
            self.warnings = ["no 4K"]

    rounds = iter([[(picture(), None), (picture(), None), None], [(picture(), None)]])
    source = opened(lambda stop: Warned(next(rounds), stop))
    wait_until(lambda: len(source.warnings) == 2)
    assert source.warnings[0] == "no 4K"


def test_the_capture_rate_is_that_of_pictures_not_of_frames_taken(opened: Opened):
    class Paced(Scripted):
        def read(self) -> tuple[Image, float | None] | None:
            self._stop.wait(0.01)
            return picture(), None

    source = opened(lambda stop: Paced([], stop))
    wait_until(lambda: source.frames_dropped > 20)
    assert 20 < source.capture_rate < 101


def test_one_picture_makes_no_rate(opened: Opened):
    assert opened(Script([(picture(), None)])).capture_rate == 0.0


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (Script(SourceError("there is no camera 4")), "there is no camera 4"),
        (Script([None]), "desk camera gives no more pictures"),
        (Script([SourceError("the lens fell off")]), "the lens fell off"),
    ],
)
def test_a_source_that_never_gave_a_picture_is_refused_and_not_tried_again(script: Script, message: str):
    with pytest.raises(SourceError, match=message):
        open_live("desk camera", script)
    assert script.calls == 1


def test_a_source_whose_first_picture_does_not_come_is_refused():
    with pytest.raises(SourceError, match=r"desk camera gave no picture within 0.05 s; check that"):
        open_live("desk camera", Script([]), timeout_s=0.05)


def test_closing_wakes_whoever_waits_for_a_frame(opened: Opened):
    source = opened(Script([(picture(), None)]))
    next(source)
    ended: list[object] = []
    consumer = threading.Thread(target=lambda: ended.append(next(iter(source), "ended")))
    consumer.start()
    time.sleep(0.05)
    source.close()
    consumer.join(5)
    assert ended == ["ended"]
    source.close()
    assert list(source) == []
    assert source.state == "ended"


def test_closing_does_not_wait_for_a_driver_that_hangs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "JOIN_S", 0.1)
    let_go = threading.Event()

    class Hanging(Scripted):
        def read(self) -> tuple[Image, float | None] | None:
            step = next(self._steps, None)
            if step is None:
                let_go.wait(10)
            return step

    source = open_live("desk camera", lambda stop: Hanging([(picture(), None)], stop))
    begun = time.monotonic()
    source.close()
    assert time.monotonic() - begun < 1.5
    assert source.state == "ended"
    let_go.set()
    wait_until(lambda: not any(thread.name == "capture desk camera" for thread in threading.enumerate()))


def test_a_defect_in_a_reader_reaches_whoever_takes_frames(opened: Opened):
    source = opened(Script([(picture(), None), ZeroDivisionError("defect")]))
    next(source)
    with pytest.raises(ZeroDivisionError):
        next(source)
    assert source.state == "ended"
