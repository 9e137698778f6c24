"""A live session under watch, for all tests of the live view."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.live import LiveSession
from engine.live_values import LiveResult, SourceRequest
from engine.settings import EstimatorSettings, TrackSettings

PATIENCE_S = 20.0
Begin = Callable[..., "Watcher"]


class Sink:
    """What a session writes, and why it breaks off."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.breaks: list[tuple[str, bool]] = []

    def write(self, live: LiveResult) -> None:
        self.written.append(live.result.frame.index)

    def break_off(self, reason: str, *, lost: bool) -> None:
        self.breaks.append((reason, lost))


class Watcher:
    """A session with everything that came out of it."""

    def __init__(self, settings: TrackSettings, **options: Any) -> None:
        self.results: list[LiveResult] = []
        self.told: list[str] = []
        self.states: list[str] = []
        self.news = threading.Event()
        self.session = LiveSession(settings, wake=self.news.set, **options)

    def until(self, condition: Callable[[], object]) -> None:
        """Take what comes until a condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.look()
            if condition():
                return
            assert time.monotonic() < deadline, (self.session.status, self.told, self.indices[-5:])
            self.news.wait(0.05)
            self.news.clear()

    def look(self) -> None:
        """Take what came."""
        self.results += self.session.take_results()
        self.told += [notice.text for notice in self.session.take_notices()]
        self.states.append(self.session.status.state)

    def until_state(self, state: str) -> None:
        self.until(lambda: self.session.status.state == state)

    def until_still(self) -> None:
        """Wait until nothing more comes."""
        count = -1
        while count != len(self.results):
            count = len(self.results)
            time.sleep(0.15)
            self.look()

    @property
    def indices(self) -> list[int]:
        return [live.result.frame.index for live in self.results]

    @property
    def last(self) -> LiveResult:
        return self.results[-1]


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    """The marker models, top-down."""
    return TrackSettings(
        estimator=EstimatorSettings(
            mode="top-down",
            top_down_model=str(top_down_file),
            bottom_up_model=str(bottom_up_file),
            threads=1,
            find_interval_s=0.1,
        )
    )


@pytest.fixture
def sink() -> Sink:
    """A sink that notes what it is told."""
    return Sink()


@pytest.fixture
def watch(settings: TrackSettings) -> Iterator[Begin]:
    """Function (settings, **options of the session) that begins a session; it is closed afterwards."""
    made: list[Watcher] = []

    def begin(changed: TrackSettings | None = None, **options: Any) -> Watcher:
        made.append(Watcher(changed or settings, **options))
        return made[-1]

    yield begin
    for watcher in made:
        watcher.session.close()


@pytest.fixture
def watcher(watch: Begin) -> Watcher:
    """A session without a source."""
    return watch()


@pytest.fixture
def playing(watcher: Watcher, marker_folder: Path) -> Watcher:
    """24 pictures at 30 frames/s, opened."""
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    watcher.until(lambda: watcher.results)
    return watcher


@pytest.fixture
def write_uneven(tmp_path: Path) -> Callable[[list[int]], Path]:
    """Function from the times of frames, in 30ths of a second, to a video in which they come then."""

    def write(times: list[int]) -> Path:
        path = tmp_path / "uneven.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"bf": "0", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
            for time_30th in times:
                frame = av.VideoFrame.from_ndarray(np.zeros((96, 160, 3), np.uint8), format="bgr24")
                frame.pts = time_30th
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def clip_folder(tmp_path: Path, marker_folder: Path) -> Callable[[int], Path]:
    """Function (count) that makes a folder of the first pictures of the walking pair."""

    def make(count: int) -> Path:
        folder = tmp_path / f"first-{count}"
        folder.mkdir()
        for file in sorted(marker_folder.iterdir())[:count]:
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    return make
