"""Chooses sources: dialogs, recent ones, files dropped on the window, what the command line named."""

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDialog, QFileDialog, QWidget

from app.desktop.camera_dialog import CameraDialog
from app.desktop.live_page import LivePage
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from app.desktop.source_dialogs import FolderDialog, StreamDialog
from app.inputs import NETWORK, VIDEO_SUFFIXES, request_for
from assets import demo_clip
from engine.live_values import SourceRequest
from engine.sources.camera import camera_modes, list_cameras


class SourceControl(QObject):
    """Turns what somebody picks into a request to the session.

    list_cameras, camera_modes: how cameras are found.
    """

    def __init__(
        self,
        session: Session,
        page: LivePage,
        actions: Mapping[str, QAction],
        preferences: Preferences,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session, self._page, self._preferences, self._window = session, page, preferences, window
        self.list_cameras, self.camera_modes = list_cameras, camera_modes
        self._remembered: SourceRequest | None = None
        wanted: dict[str, Callable[[], None]] = {
            "open_camera": self.choose_camera,
            "open_file": self.choose_file,
            "open_folder": self.choose_folder,
            "open_stream": self.choose_stream,
            "open_demo": self.open_demo,
            "close_source": session.live.close_source,
        }
        for name, slot in wanted.items():
            actions[name].triggered.connect(slot)
        welcome = page.welcome
        welcome.camera_wanted.connect(self.choose_camera)
        welcome.file_wanted.connect(self.choose_file)
        welcome.folder_wanted.connect(self.choose_folder)
        welcome.stream_wanted.connect(self.choose_stream)
        welcome.demo_wanted.connect(self.open_demo)
        welcome.recent_chosen.connect(self.open)
        welcome.recent_removed.connect(self._forget)
        session.status_changed.connect(self._remember)
        self._show_recent()

    def open(self, request: SourceRequest) -> None:
        """Open a source; it is remembered once it plays."""
        self._session.live.open(request)

    def open_demo(self) -> None:
        """Open the bundled clip."""
        self.open(SourceRequest(demo_clip(), self.tr("Demo")))

    def open_text(self, text: str) -> None:
        """Open what a command line names: a path, a camera's number, an address, `demo`."""
        if text == "demo":
            self.open_demo()
        else:
            self.open(request_for(text))

    def open_urls(self, urls: list[QUrl]) -> None:
        """Open the first of what was dropped on the window."""
        for url in urls:
            text = url.toLocalFile() if url.isLocalFile() else url.toString()
            if text:
                self.open_text(text)
                return

    def choose_camera(self) -> None:
        """Let somebody choose a camera."""
        self._open_dialog(CameraDialog(self.list_cameras, self.camera_modes, parent=self._window))

    def choose_stream(self) -> None:
        """Let somebody type an address."""
        recent = [str(r.spec) for r in self._preferences.recent if NETWORK.match(str(r.spec))]
        self._open_dialog(StreamDialog(recent, parent=self._window))

    def choose_file(self) -> None:
        """Let somebody choose a video."""
        patterns = " ".join(f"*{suffix}" for suffix in sorted(VIDEO_SUFFIXES))
        dialog = QFileDialog(self._window, self.tr("Open video"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilters([self.tr("Videos ({})").format(patterns), self.tr("All files (*)")])
        dialog.fileSelected.connect(lambda path: self.open(request_for(path)))
        self._open_file_dialog(dialog)

    def choose_folder(self) -> None:
        """Let somebody choose a folder of images, then say how it is to be played."""
        dialog = QFileDialog(self._window, self.tr("Open image folder"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self._ask_about_folder)
        self._open_file_dialog(dialog)

    def _ask_about_folder(self, path: str) -> None:
        self._open_dialog(FolderDialog(Path(path), parent=self._window))

    def _open_dialog(self, dialog: CameraDialog | StreamDialog | FolderDialog) -> None:
        dialog.chosen.connect(self.open)
        _delete_when_done(dialog)
        dialog.open()

    def _open_file_dialog(self, dialog: QFileDialog) -> None:
        last = next((Path(r.spec).parent for r in self._preferences.recent if Path(r.spec).exists()), None)
        if last is not None:
            dialog.setDirectory(str(last))
        _delete_when_done(dialog)
        dialog.open()

    def _forget(self, request: SourceRequest) -> None:
        self._preferences.remove_recent(request)
        self._show_recent()

    def _remember(self) -> None:
        status = self._session.status
        request = status.request
        if status.state != "playing" or request is None or request == self._remembered:
            return
        self._remembered = request
        # An address with a password in it belongs in no file.
        if str(request.spec) != str(demo_clip()) and "@" not in str(request.spec):
            self._preferences.add_recent(request)
            self._show_recent()

    def _show_recent(self) -> None:
        self._page.welcome.set_recent(self._preferences.recent)


def _delete_when_done(dialog: QDialog) -> None:
    dialog.finished.connect(dialog.deleteLater)
