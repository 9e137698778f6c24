"""Connects recorder, record bar and session: takes begin and end here, and are told of."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QAction, QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from app.desktop.live_page import LivePage
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from app.takes import Recorder, TakeOptions, TakeStatus
from engine.live_values import LiveResult

REFRESH_MS = 200


class RecordingControl(QObject):
    """A `LiveSink` that records while a take is open.

    Where the source is lost in the middle of a take, the take is closed whole, and the next one begins by
    itself when the source is back.

    Signals:
        told: (role, sentence).
    """

    told = Signal(str, str)
    _broken = Signal()

    def __init__(
        self,
        session: Session,
        page: LivePage,
        actions: Mapping[str, QAction],
        preferences: Preferences,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session, self._bar, self._timeline = session, page.record_bar, page.transport.timeline
        self._actions, self._preferences, self._window = actions, preferences, window
        self.recorder = Recorder()
        self._lock = threading.Lock()
        self._break: tuple[str, bool] | None = None
        self._resume = False
        self._shown: TakeStatus | None = None
        self._bar.set_options(preferences.get("recording", TakeOptions, self._default_options()))
        self._show_folder()
        self._bar.record_toggled.connect(self.toggle)
        self._bar.marker_requested.connect(self.mark)
        self._bar.options_changed.connect(self._remember_options)
        self._bar.folder_change_requested.connect(self.choose_folder)
        self._bar.folder_open_requested.connect(self.open_folder)
        self._bar.take_open_requested.connect(open_path)
        actions["record"].triggered.connect(self.toggle)
        actions["mark"].triggered.connect(self.mark)
        actions["record_folder"].triggered.connect(self.choose_folder)
        actions["open_record_folder"].triggered.connect(self.open_folder)
        self._broken.connect(self._handle_break)
        session.status_changed.connect(self._follow_status)
        session.live.add_sink(self)  # type: ignore[arg-type]
        self._timer = QTimer(self, interval=REFRESH_MS)
        self._timer.timeout.connect(self._show_take)
        self._follow_status()

    @property
    def recording(self) -> bool:
        """Whether a take is open."""
        return self.recorder.recording

    def close(self) -> None:
        """Close the take whole."""
        self._timer.stop()
        self.recorder.close()

    # --- what somebody does ------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Begin a take, or end it."""
        self._resume = False
        if self.recording:
            self._stop()
        else:
            self._start()

    def mark(self) -> None:
        """Mark this moment in the take."""
        if self.recording:
            self.recorder.mark()
            self._timeline.add_marker(self._session.live.status.position_s)
            self._show_take()

    def set_names(self, names: Mapping[int, str]) -> None:
        """Tell people's names for the sidecar."""
        self.recorder.set_names(names)

    def choose_folder(self) -> None:
        """Let somebody choose where takes go."""
        dialog = QFileDialog(self._window, self.tr("Folder for takes"), str(self._preferences.record_folder))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self._set_folder)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def open_folder(self) -> None:
        """Show the folder with the takes."""
        folder = self._preferences.record_folder
        if folder.is_dir():
            open_path(folder)
        else:
            self.told.emit("accent", self.tr("{} is made with the first take").format(folder))

    # --- the session's thread ----------------------------------------------------------------------------

    def write(self, live: LiveResult) -> None:
        """See `LiveSink`."""
        if self._break is None:
            self.recorder.write(live)

    def break_off(self, reason: str, *, lost: bool) -> None:
        """See `LiveSink`."""
        if self.recorder.recording:
            with self._lock:
                self._break = self._break or (reason, lost)
            self._broken.emit()

    # --- the window's thread -----------------------------------------------------------------------------

    def _start(self) -> None:
        info, skeleton = self._session.status.info, self._session.live.skeleton
        request = self._session.status.request
        if info is None or skeleton is None or request is None:
            return
        options = self._bar.options
        options = TakeOptions(
            folder=self._preferences.record_folder,
            name=Path(request.label).stem if info.path is not None else request.label,
            annotated_video=options.annotated_video,
            clean_video=options.clean_video,
            raw=options.raw,
            keep_empty=options.keep_empty,
            long=options.long,
        )
        self.recorder.start(options, skeleton, info, self._describe)
        self._timer.start()
        self._show_take()

    def _stop(self) -> None:
        self.recorder.stop()
        self._show_take()

    def _describe(self) -> dict[str, Any]:
        return self._session.live.describe()

    def _handle_break(self) -> None:
        with self._lock:
            broken, self._break = self._break, None
        if broken is None or not self.recording:
            return
        reason, lost = broken
        self._stop()
        self._resume = lost
        ending = self.tr("it goes on in a new take when it is back") if lost else self.tr("the take is saved")
        self.told.emit("warning" if lost else "accent", f"{reason}; {ending}")

    def _follow_status(self) -> None:
        status = self._session.status
        ready = status.info is not None and status.ready and status.state not in ("failed", "opening", "empty")
        reason = "" if ready else self.tr("Open a source first")
        self._bar.set_enabled_for_source(ready, reason)
        self._actions["record"].setEnabled(ready or self.recording)
        if self._resume and status.state == "playing" and not self.recording:
            self._resume = False
            self._start()
        elif status.state in ("empty", "failed"):
            self._resume = False

    def _show_take(self) -> None:
        status, before = self.recorder.status, self._shown
        self._shown = status
        self._bar.show_take(status)
        self._actions["mark"].setEnabled(self.recording)
        if status is None:
            return
        if status.state == "failed" and (before is None or before.state != "failed"):
            self.told.emit("bad", status.message)
        if status.state in ("done", "failed"):
            self._timer.stop()

    def _default_options(self) -> TakeOptions:
        return TakeOptions(self._preferences.record_folder, "")

    def _remember_options(self) -> None:
        self._preferences.set("recording", self._bar.options)

    def _set_folder(self, path: str) -> None:
        self._preferences.record_folder = Path(path)
        self._show_folder()

    def _show_folder(self) -> None:
        self._bar.set_folder(self._preferences.record_folder)


def open_path(path: Path) -> None:
    """Open a file or folder with the program the user has for it."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
