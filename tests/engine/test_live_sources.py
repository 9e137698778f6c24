"""Sources of a live session, opened while others are opening, playing or failing."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from engine import live_sources
from engine.errors import SourceError
from engine.live_sources import device_of
from engine.live_values import SourceRequest
from engine.sources import open_source

Watcher: TypeAlias = Any
Sink: TypeAlias = Any


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> dict[str, threading.Event]:
    """Labels of sources that open, or fail where they are called 'broken', only once their event is set."""
    gates: dict[str, threading.Event] = {}
    real = live_sources.open_request

    def gated(request: SourceRequest, start_s: float = 0.0) -> Any:
        if request.label in gates:
            gates[request.label].wait(10)
        if request.label.startswith("broken"):
            raise SourceError("this one is broken; choose another")
        return real(request, start_s)

    monkeypatch.setattr(live_sources, "open_request", gated)
    return gates


def test_only_the_last_of_many_sources_is_opened_for_good(
    watcher: Watcher, marker_folder: Path, clip_folder: Callable[[int], Path]
) -> None:
    for number in range(20):
        watcher.session.open(SourceRequest(marker_folder, f"frames {number}"))
    watcher.session.open(SourceRequest(clip_folder(3), "last"))
    watcher.until_state("ended")
    assert watcher.session.status.request.label == "last"
    assert watcher.session.status.info.frame_count == 3
    assert watcher.indices[-3:] == [0, 1, 2]


def test_a_source_that_fails_after_another_was_asked_for_is_not_told(
    watcher: Watcher, marker_folder: Path, openings: dict[str, threading.Event]
) -> None:
    openings["broken"] = threading.Event()
    watcher.session.open(SourceRequest(marker_folder, "broken"))
    watcher.session.open(SourceRequest(marker_folder, "frames"))
    openings["broken"].set()
    watcher.until_state("ended")
    assert "failed" not in watcher.states


def test_a_source_in_hand_that_breaks_while_another_opens_does_not_disturb_it(
    playing: Watcher, marker_folder: Path, openings: dict[str, threading.Event], sink: Sink
) -> None:
    openings["slow"] = threading.Event()
    playing.session.add_sink(sink)
    playing.session.open(SourceRequest(marker_folder, "slow"))
    playing.session._player.source.close()
    time.sleep(0.2)
    playing.look()
    assert playing.session.status.state == "opening"
    openings["slow"].set()
    playing.until_state("ended")
    assert playing.states.count("failed") == 0


def test_a_source_given_up_while_it_opens_leaves_the_session_empty(
    watcher: Watcher, marker_folder: Path, openings: dict[str, threading.Event]
) -> None:
    openings["slow"] = threading.Event()
    watcher.session.open(SourceRequest(marker_folder, "slow"))
    watcher.session.close_source()
    openings["slow"].set()
    watcher.until_still()
    status = watcher.session.status
    assert (status.state, status.request, status.info) == ("empty", None, None)
    assert watcher.results == []


def test_a_place_sought_while_a_source_opens_is_gone_to_when_it_is_there(
    playing: Watcher, marker_folder: Path, openings: dict[str, threading.Event]
) -> None:
    openings["slow"] = threading.Event()
    playing.session.open(SourceRequest(marker_folder, "slow"))
    playing.session.pause()
    playing.session.seek(0.5)
    playing.until_still()
    playing.results.clear()
    openings["slow"].set()
    playing.until(lambda: playing.results)
    assert playing.indices == [15]
    assert playing.session.status.state == "paused"


def test_a_source_paused_while_it_opens_shows_its_first_frame(
    watcher: Watcher, marker_folder: Path, openings: dict[str, threading.Event]
) -> None:
    openings["slow"] = threading.Event()
    watcher.session.open(SourceRequest(marker_folder, "slow"))
    watcher.session.pause()
    openings["slow"].set()
    watcher.until(lambda: watcher.results)
    watcher.until_still()
    assert watcher.indices == [0]
    assert watcher.session.status.state == "paused"


def test_a_source_opened_to_wait_shows_every_frame_once_it_is_played(
    watcher: Watcher, marker_folder: Path, sink: Sink
) -> None:
    watcher.session.open(SourceRequest(marker_folder, "frames"), paused=True)
    watcher.until_state("paused")
    watcher.until(lambda: watcher.session.status.ready)
    watcher.until_still()
    assert watcher.results == []
    watcher.session.add_sink(sink)
    watcher.session.play()
    watcher.until_state("ended")
    assert sink.written == list(range(24))


def test_a_device_is_let_go_before_it_is_opened_again(
    watcher: Watcher, mjpeg_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    most: list[int] = []
    real = open_source

    def count(spec: object, **options: Any) -> Any:
        held.append(1)
        most.append(len(held))
        source = real(mjpeg_server.address, **options)
        close = source.close

        def closed() -> None:
            close()
            if held:
                held.pop()

        source.close = closed  # type: ignore[method-assign]
        return source

    monkeypatch.setattr(live_sources, "open_source", count)
    for _ in range(3):
        shown = len(watcher.results)
        watcher.session.open(SourceRequest("0", "Camera 0"))
        watcher.until(lambda shown=shown: len(watcher.results) > shown + 2)
    for _ in range(5):
        watcher.session.open(SourceRequest("/dev/video0", "Camera 0"))
    shown = len(watcher.results)
    watcher.until(lambda: len(watcher.results) > shown + 2)
    assert max(most) == 1


def test_closing_waits_for_no_source_that_does_not_open(
    watcher: Watcher,
    marker_folder: Path,
    openings: dict[str, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_sources, "JOIN_S", 0.1)
    openings["stuck"] = threading.Event()
    watcher.session.open(SourceRequest(marker_folder, "stuck"))
    begin = time.monotonic()
    watcher.session.close()
    assert time.monotonic() - begin < 5
    openings["stuck"].set()


@pytest.mark.parametrize(
    ("spec", "device"),
    [("0", "0"), ("/dev/video2", "2"), ("rtsp://host/1", "rtsp://host/1"), ("clip.mp4", None)],
)
def test_what_can_be_open_only_once_has_a_name(spec: str, device: str | None) -> None:
    assert device_of(SourceRequest(spec, spec)) == device
    assert device_of(SourceRequest(spec, spec, as_camera=True)) is None
