"""Qt without a display; every test must leave no thread behind. `desk` is the whole window in use."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["PYQTGRAPH_QT_LIB"] = "PySide6"

from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtWidgets import QApplication, QWidget

from app.desktop.main_window import MainWindow
from app.desktop.preferences import Preferences
from engine.live_values import LiveResult
from engine.settings import EstimatorSettings, TrackSettings

PATIENCE_MS = 30_000
NO_KEYS = Qt.KeyboardModifier.NoModifier


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5
    while (left := [t for t in threading.enumerate() if t not in before and t.is_alive()]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.01)
    assert not left, f"threads still running: {[thread.name for thread in left]}"


class Desk:
    """A window, and hands that use it."""

    def __init__(self, window: MainWindow, qtbot: QtBot) -> None:
        self.window, self.qtbot = window, qtbot
        self.page, self.session, self.actions = window.page, window.session, window.actions_by_name
        self.shown: list[LiveResult] = []
        window.session.result_followed.connect(self.shown.append)

    def until(self, condition: Callable[[], object]) -> None:
        """Let the window live until a condition holds."""
        try:
            self.qtbot.waitUntil(lambda: bool(condition()), timeout=PATIENCE_MS)
        except Exception as error:
            raise AssertionError(f"{self.session.live.status}, told {self.told}") from error

    def until_state(self, *states: str) -> None:
        """Wait until the window knows of a state."""
        self.until(lambda: self.session.status.state in states)

    def open(self, source: object) -> None:
        """Open a source and wait until people are painted on its frames."""
        self.window.sources.open_text(str(source))
        self.until(lambda: self.is_in_hand(str(source)) and self.painted and self.people)

    def is_in_hand(self, source: str) -> bool:
        """Whether a source is the one that the window shows."""
        status = self.session.status
        opened = status.request is not None and str(status.request.spec) == source
        return opened and status.state != "opening"

    def press(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = NO_KEYS) -> None:
        """Press a key, wherever the focus is."""
        if not self.window.isActiveWindow():
            # A menu that closes gives the focus back only where there is a window manager.
            self.window.activateWindow()
            self.until(self.window.isActiveWindow)
        self.qtbot.keyClick(QApplication.focusWidget() or self.window, key, modifiers)

    def pause_at(self, index: int) -> None:
        """Pause, and go to a frame of a file with 30 frames/s; whatever was under way is over then."""
        self.session.live.pause()
        self.session.live.seek(index / 30)
        self.until(lambda: self.session.status.state == "paused" and self.painted and self.index == index)

    @property
    def painted(self) -> LiveResult | None:
        """What was painted last."""
        return self.page.view.painted_result

    @property
    def index(self) -> int:
        """Number of the frame painted last."""
        assert self.painted is not None
        return self.painted.result.frame.index

    @property
    def people(self) -> list[int]:
        """Track ids of who was painted last."""
        return [person.track_id for person in self.painted.result.people] if self.painted else []

    @property
    def told(self) -> list[str]:
        """The notices that are shown."""
        return self.page.notices.texts

    def told_of(self, part: str) -> bool:
        """Whether a notice with these words is shown."""
        return any(part in text for text in self.told)

    def place_of(self, track_id: int) -> QPoint:
        """Return where a person's belly is painted."""
        assert self.painted is not None
        (person,) = [p for p in self.painted.result.people if p.track_id == track_id]
        return self.place_at(*person.keypoints[5].tolist())

    def place_at(self, x: float, y: float) -> QPoint:
        """Return where a place of the frame is in the view, px."""
        place = self.page.view._place
        assert place is not None
        return QPoint(*(round(value) for value in place.to_view(np.array([x, y])).tolist()))

    def click(self, place: QPoint, button: Qt.MouseButton = Qt.MouseButton.LeftButton) -> None:
        """Click on the stage."""
        self.qtbot.mouseClick(self.page.view, button, NO_KEYS, place)

    def drag(self, begin: QPoint, end: QPoint) -> None:
        """Drag on the stage with the left button."""
        view, left = self.page.view, Qt.MouseButton.LeftButton
        self.qtbot.mousePress(view, left, NO_KEYS, begin)
        self.qtbot.mouseMove(view, (begin + end) / 2)
        self.qtbot.mouseMove(view, end)
        self.qtbot.mouseRelease(view, left, NO_KEYS, end)

    def find(self, kind: type[QWidget], name: str, inside: QWidget | None = None) -> QWidget:
        """Return the visible widget of a kind that is called so, by its accessible name or its text."""
        found = [
            widget
            for widget in (inside or self.window).findChildren(kind)
            if name in (widget.accessibleName(), getattr(widget, "text", str)().replace("&", ""))
            and widget.isVisible()
        ]
        assert len(found) == 1, [(w.accessibleName(), getattr(w, "text", str)()) for w in found]
        return found[0]


@pytest.fixture
def marker_settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    """Settings with the tiny models, in the runtime that has them ready soonest."""
    return TrackSettings(
        estimator=EstimatorSettings(
            mode="top-down",
            top_down_model=str(top_down_file),
            bottom_up_model=str(bottom_up_file),
            runtime="onnxruntime",
            threads=1,
            find_interval_s=0.1,
        )
    )


@pytest.fixture
def preferences(tmp_path: Path, marker_settings: TrackSettings) -> Preferences:
    """A user's file in which the tiny models are chosen; the first run is over."""
    preferences = Preferences(tmp_path / "config" / "settings.ini")
    preferences.settings = marker_settings
    preferences.record_folder = tmp_path / "takes"
    preferences.set("hinted", True)
    return preferences


@pytest.fixture
def make_desk(qtbot: QtBot, preferences: Preferences) -> Iterator[Callable[..., Desk]]:
    """Function that opens a window, by default with `preferences`; all are closed afterwards."""
    windows: list[MainWindow] = []

    def make(chosen: Preferences | None = None) -> Desk:
        window = MainWindow(chosen or preferences)
        windows.append(window)
        window.resize(1280, 800)
        window.show()
        qtbot.waitExposed(window)
        window.activateWindow()
        qtbot.waitActive(window)
        return Desk(window, qtbot)

    yield make
    for window in windows:
        window.close()
        window.shut_down()
        window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """The window with nothing open."""
    return make_desk()


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """Four seconds of the walking pair, long enough to be sought in."""
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mp4", 120)
