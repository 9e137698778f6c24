"""Chooses sources: dialogs, recent ones, files dropped on the window, what the command line named."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDialog, QFileDialog, QMenu, QWidget

from app.desktop.camera_dialog import CameraDialog
from app.desktop.live_page import LivePage
from app.desktop.preferences import Preferences
from app.desktop.session import Session
from app.desktop.source_dialogs import FolderDialog, StreamDialog
from app.inputs import NETWORK, VIDEO_SUFFIXES, request_for
from assets import demo_clip
from engine.live_values import SourceRequest
from engine.sources.address import mask_address
from engine.sources.camera import camera_modes, list_cameras

PLAYED = ("playing", "paused", "ended")
"""States of a source that could be opened."""


class SourceControl(QObject):
    """Turns what somebody picks into a request to the session.

    list_cameras, camera_modes: how cameras are found. recent_menu: the sources opened lately, for the menus.

    Signals:
        opened: a source was asked for. told: (role, sentence).
    """

    opened = Signal()
    told = Signal(str, str)

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
        self.recent_menu = QMenu(self.tr("Open &recent"), window)
        self.recent_menu.setToolTipsVisible(True)
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
        self.opened.emit()

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
        texts = [url.toLocalFile() if url.isLocalFile() else url.toString() for url in urls]
        wanted = [text for text in texts if text]
        if wanted:
            self.open_text(wanted[0])
        if len(wanted) > 1:
            text = self.tr("Only the first of {} is opened; the batch tab takes many").format(len(wanted))
            self.told.emit("accent", text)

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
        paths = (Path(request.spec) for request in self._preferences.recent)
        last = next((path.parent for path in paths if path.is_absolute()), None)
        if last is not None:
            dialog.setDirectory(str(last))
        _delete_when_done(dialog)
        dialog.open()

    def _forget(self, request: SourceRequest) -> None:
        self._preferences.remove_recent(request)
        self._show_recent()

    def _forget_all(self) -> None:
        for request in self._preferences.recent:
            self._preferences.remove_recent(request)
        self._show_recent()

    def _remember(self) -> None:
        status = self._session.status
        request, info = status.request, status.info
        if request is None:
            self._remembered = None
        if status.state not in PLAYED or request is None or info is None or request == self._remembered:
            return
        self._remembered = request
        text = str(request.spec)
        # An address with a password in it belongs in no file.
        if text == str(demo_clip()) or mask_address(text) != text:
            return
        if info.path is not None:
            request = replace(request, spec=Path(request.spec).absolute())
        self._preferences.add_recent(request)
        self._show_recent()

    def _show_recent(self) -> None:
        recent = self._preferences.recent
        self._page.welcome.set_recent(recent)
        self.recent_menu.clear()
        for request in recent:
            action = self.recent_menu.addAction(mask_address(request.label).replace("&", "&&"))
            action.setToolTip(mask_address(str(request.spec)))
            action.triggered.connect(lambda _checked, request=request: self.open(request))
        self.recent_menu.addSeparator()
        self.recent_menu.addAction(self.tr("&Clear this list")).triggered.connect(self._forget_all)
        self.recent_menu.setEnabled(bool(recent))


def _delete_when_done(dialog: QDialog) -> None:
    dialog.finished.connect(dialog.deleteLater)
