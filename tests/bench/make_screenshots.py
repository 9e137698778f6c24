"""Makes the pictures of the window in the README: ``python tests/bench/make_screenshots.py [FOLDER]``.

Needs no display. The bundled demo clip is played in real time, so run it where nothing else is running: rates
and latencies are in the pictures.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

SIZE = (1360, 860)
QUALITY = 82
PATIENCE_S = 120.0
PLAYING_S, RECORDING_S, PLOTS_S, DARK_S, CONTRAST_S = 6.5, 2.6, 11.5, 7.5, 9.0
"""Times of the clip from which on pictures are taken, as soon as its people and nobody else are found."""
PEOPLE = 3
RECENT = ("rehearsal-2.mp4", "physio-tuesday.mov", "sprint-start.mp4")


def main() -> None:
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        os.environ.update(HOME=home, XDG_CACHE_HOME=cache, QT_QPA_PLATFORM="offscreen", LANG="C.UTF-8")
        os.environ.pop("XDG_CONFIG_HOME", None)
        os.chdir(home)
        Studio(Path(home), folder).take_all()


class Studio:
    """A window of the demo clip, put into one state after another."""

    def __init__(self, home: Path, folder: Path) -> None:
        from app.desktop.application import favour_window, make_application
        from app.desktop.main_window import MainWindow
        from app.desktop.preferences import Preferences
        from app.desktop.theme import apply_theme
        from engine.live_values import SourceRequest

        self._folder = folder
        self._application = make_application(["steadypose"])
        apply_theme(self._application, "light")
        preferences = Preferences(home / "settings.ini")
        preferences.set("hinted", True)
        for name in reversed(RECENT):
            preferences.add_recent(SourceRequest(home / "Videos" / name, name))
        self.window = MainWindow(preferences)
        self.window.resize(*SIZE)
        self.window.show()
        favour_window()

    def take_all(self) -> None:
        try:
            self._live_for(3.0)
            self._shoot("welcome")
            self._play_to(PLAYING_S)
            self._shoot("playing")
            self._record()
            self._plots()
            self._batch()
            self._error()
            self._looks()
        finally:
            self.window.close()

    # --- states --------------------------------------------------------------------------------------------

    def _record(self) -> None:
        window = self.window
        window.show_dock("people")
        self._begin_anew()
        self._press("record")
        self._until(lambda: self._time() > 1.0)
        self._press("mark")
        self._play_to(RECORDING_S)
        self._shoot("recording")
        self._press("record")

    def _plots(self) -> None:
        self.window.show_dock("numbers")
        self.window.show_dock("plots")
        self._begin_anew()
        self._play_to(PLOTS_S)
        self._shoot("plots")
        self.window.docks["plots"].hide()

    def _batch(self) -> None:
        from assets import demo_clip

        window, videos = self.window, Path("Videos")
        window.session.live.close_source()
        videos.mkdir(exist_ok=True)
        for name in ("rehearsal-1.mp4", "rehearsal-2.mp4", "physio-tuesday.mp4", "sprint-start.mp4"):
            shutil.copyfile(demo_clip(), videos / name)
        (videos / "interview.mp4").write_bytes(demo_clip().read_bytes()[:4096])
        names = ("rehearsal-1", "interview", "rehearsal-2", "physio-tuesday", "sprint-start")
        window.tabs.setCurrentIndex(1)
        window.show_dock("settings")
        window.batch.add_paths([videos / f"{name}.mp4" for name in names])
        self._until(lambda: len(window.queue.snapshot()) == len(names))
        window.queue.start()
        self._until(lambda: self._worked_on(2) > 0.55)
        self._shoot("batch")
        window.queue.cancel([item.key for item in window.queue.snapshot()])
        window.tabs.setCurrentIndex(0)

    def _error(self) -> None:
        self.window.sources.open_text("Videos/interview.mp4")
        self._until(lambda: self.window.page.stack.currentWidget() is self.window.page.error)
        self._live_for(0.5)
        self._shoot("error")

    def _looks(self) -> None:
        window = self.window
        window.set_theme("dark")
        window.show_dock("numbers")
        for name in ("trails", "angles"):
            self._press(name)
        window.sources.open_text("demo")
        self._play_to(DARK_S)
        self._shoot("dark")
        for name in ("trails", "angles"):
            self._press(name)
        window.set_theme("high-contrast")
        window.view.set_palette("high-contrast")
        window.show_dock("settings")
        self._play_to(CONTRAST_S)
        self._shoot("high-contrast")

    # --- hands and eyes ------------------------------------------------------------------------------------

    def _press(self, name: str) -> None:
        self.window.actions_by_name[name].trigger()

    def _begin_anew(self) -> None:
        self._press("to_start")
        self._until(lambda: self._time() < 0.5)

    def _time(self) -> float:
        """Time of the clip that is painted, -1 before there is any."""
        painted = self.window.page.view.painted_result
        return painted.result.frame.time_s if painted is not None else -1.0

    def _people(self) -> int:
        painted = self.window.page.view.painted_result
        return len(painted.result.people) if painted is not None else 0

    def _play_to(self, time_s: float) -> None:
        if self.window.session.status.state in ("empty", "failed"):
            self.window.sources.open_text("demo")
        self._until(lambda: self._time() >= time_s and self._people() == PEOPLE)

    def _worked_on(self, place: int) -> float:
        item = self.window.queue.snapshot()[place]
        return item.share or 0.0

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise SystemExit("the window never came into the state for the next picture")
            self._live_for(0.01)

    def _live_for(self, seconds: float) -> None:
        from PySide6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    def _shoot(self, name: str) -> None:
        import cv2
        import numpy as np
        from PySide6.QtGui import QImage

        image = self.window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
        path = self._folder / f"{name}.webp"
        cv2.imwrite(str(path), pixels[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
