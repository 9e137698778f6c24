"""Connects takes, record bar and session: takes begin and end here, and are told of."""

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QAction, QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from app.desktop.live_page import LivePage
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from app.session_takes import SessionTakes, can_record
from app.takes import TakeOptions, TakeStatus

REFRESH_MS = 200


class RecordingControl(QObject):
    """Begins and ends takes as somebody wants, or as the source does.

    Signals:
        told: (role, sentence). skeleton_fixed: the `Skeleton` of the people in the take that is being
        recorded, None when there is none.
    """

    told = Signal(str, str)
    skeleton_fixed = Signal(object)
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
        self._broken.connect(self._settle)
        self.takes = SessionTakes(session.live, self._broken.emit)
        self._shown: TakeStatus | None = None
        self._recording = False
        self._bar.set_options(
            preferences.get("recording", TakeOptions, TakeOptions(preferences.record_folder, ""))
        )
        self._bar.set_folder(preferences.record_folder)
        self._bar.record_toggled.connect(self.toggle)
        self._bar.marker_requested.connect(self.mark)
        self._bar.options_changed.connect(self._remember_options)
        self._bar.folder_change_requested.connect(self.choose_folder)
        self._bar.folder_open_requested.connect(self.open_folder)
        self._bar.take_open_requested.connect(self.open_path)
        actions["record"].triggered.connect(self.toggle)
        actions["mark"].triggered.connect(self.mark)
        actions["record_folder"].triggered.connect(self.choose_folder)
        actions["open_record_folder"].triggered.connect(self.open_folder)
        session.status_changed.connect(self._settle)
        self._timer = QTimer(self, interval=REFRESH_MS)
        self._timer.timeout.connect(self._show_take)
        self._settle()

    def close(self) -> None:
        """Close the take whole."""
        self._timer.stop()
        self.takes.close()

    # --- what somebody does ------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Begin a take, or end it."""
        if self.takes.recording:
            self.takes.stop()
        else:
            self.takes.start(self._bar.options)
        self._show_take()

    def mark(self) -> None:
        """Mark this moment in the take."""
        if self.takes.recording:
            self.takes.recorder.mark()
            self._timeline.add_marker(self._session.live.status.position_s)
            self._show_take()

    def set_names(self, names: Mapping[int, str]) -> None:
        """Tell people's names for the sidecar."""
        # A take that has ended by now keeps the names that it had.
        self._settle()
        self.takes.recorder.set_names(names)

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
            self.open_path(folder)
        else:
            self.told.emit("accent", self.tr("{} is made with the first take").format(folder))

    def open_path(self, path: Path) -> None:
        """Open a file or folder with the program the user has for it."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
            self.told.emit("warning", self.tr("No program here opens {}").format(path))

    # --- what happens ------------------------------------------------------------------------------------

    def _settle(self) -> None:
        status = self._session.status
        ended = self.takes.settle()
        if ended is not None:
            lost = self.tr("recording goes on in a new take when it is back")
            ending = lost if ended.lost else self.tr("the take is saved")
            reason = ended.reason[:1].upper() + ended.reason[1:]
            self.told.emit("warning" if ended.lost else "accent", f"{reason}; {ending}")
        reason = "" if can_record(status) else self.tr("Open a source first")
        if status.state == "ended":
            reason = self.tr("The file is at its end; play it again first")
        ready = not reason
        self._bar.set_enabled_for_source(ready, reason)
        self._actions["record"].setEnabled(ready or self.takes.recording)
        self._show_take()

    def _show_take(self) -> None:
        status, before = self.takes.status, self._shown
        self._shown = status
        self._bar.show_take(status)
        recording = self.takes.recording
        self._actions["mark"].setEnabled(recording)
        if recording != self._recording:
            self._recording = recording
            self.skeleton_fixed.emit(self._session.live.skeleton if recording else None)
        if status is None:
            return
        if status.state == "failed" and (before is None or before.state != "failed"):
            self.told.emit("bad", status.message)
            self.takes.stop()
        if status.state in ("done", "failed"):
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()

    def _remember_options(self) -> None:
        self._preferences.set("recording", self._bar.options)

    def _set_folder(self, path: str) -> None:
        self._preferences.record_folder = Path(path)
        self._bar.set_folder(Path(path))
