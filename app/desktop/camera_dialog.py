"""Choosing a camera by name, and how it should film."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.desktop.busy_bar import BusyBar
from app.desktop.figures import scaled
from app.desktop.icons import icon
from app.desktop.lookup import Lookup
from engine.live_values import CameraMode, SourceRequest

if TYPE_CHECKING:
    from engine.sources.camera import Camera


class CameraDialog(QDialog):
    """Lists the cameras, found in the background, with their modes. Show it with `open`.

    Args:
        list_cameras: finds the cameras; called in a thread.
        camera_modes: finds what a camera can do; called in a thread.
        parent: the window.

    Signals:
        chosen: the `SourceRequest` of the camera; the dialog is closed by then.
    """

    chosen = Signal(object)

    def __init__(
        self,
        list_cameras: "Callable[[], list[Camera]]",
        camera_modes: "Callable[[Camera], list[CameraMode]]",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._list_cameras, self._camera_modes = list_cameras, camera_modes
        self._cameras: list[Camera] = []
        self._modes: dict[int, list[CameraMode]] = {}
        self._find = Lookup["list[Camera]"](self)
        self._ask_modes = Lookup["list[CameraMode]"](self)
        self.setWindowTitle(self.tr("Open a camera"))
        self.setMinimumSize(400, 320)
        self._looking = self._make_looking()
        self._nothing = self._make_nothing()
        self._choice = self._make_choice()
        self._pages = QStackedWidget()
        for page in (self._looking, self._nothing, self._choice):
            self._pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(16)
        column.addWidget(self._pages, 1)
        column.addWidget(self._make_buttons())
        self.finished.connect(self._forget)
        self.rescan()

    @property
    def state(self) -> str:
        """`looking`, `nothing` or `choice`."""
        page = self._pages.currentWidget()
        if page is self._looking:
            return "looking"
        return "nothing" if page is self._nothing else "choice"

    def rescan(self) -> None:
        """Look for cameras again."""
        self._ask_modes.forget()
        self._modes.clear()
        self._cameras = []
        self._show(self._looking)
        self._find.ask(self._list_cameras, self._take_cameras)

    def showEvent(self, event: QShowEvent) -> None:
        """Look again, where it was closed before anything was found."""
        super().showEvent(event)
        if self.state == "looking" and not self._find.busy:
            self.rescan()

    def accept(self) -> None:
        """Close, and say which camera was chosen."""
        row = self._list.currentRow()
        if self.state != "choice" or not 0 <= row < len(self._cameras):
            return
        camera = self._cameras[row]
        mode = self._mode.currentData()
        super().accept()
        self.chosen.emit(SourceRequest(str(camera.number), camera.name, camera_mode=mode))

    def _take_cameras(self, cameras: "list[Camera] | None", problem: str) -> None:
        if not cameras:
            self._problem.setText(problem)
            self._problem.setVisible(bool(problem))
            self._show(self._nothing)
            self._rescan.setFocus()
            return
        self._cameras = cameras
        self._show(self._choice)
        self._list.clear()
        for camera in cameras:
            item = QListWidgetItem(icon("camera"), camera.name)
            item.setToolTip(camera.path or self.tr("Camera {0}").format(camera.number))
            self._list.addItem(item)
        self._list.setCurrentRow(0)
        self._list.setFocus()

    def _choose_camera(self, row: int) -> None:
        self._mode.clear()
        self._mode.addItem(self.tr("As the camera likes"), None)
        self._mode_note.setText("")
        self._ask_modes.forget()
        if not 0 <= row < len(self._cameras):
            return
        camera = self._cameras[row]
        if camera.number in self._modes:
            self._take_modes(camera, self._modes[camera.number], "")
            return
        self._mode_note.setText(self.tr("Asking the camera what it can do…"))
        self._ask_modes.ask(
            lambda: self._camera_modes(camera),
            lambda modes, problem: self._take_modes(camera, modes, problem),
        )

    def _take_modes(self, camera: "Camera", modes: list[CameraMode] | None, problem: str) -> None:
        if modes is None:
            self._mode_note.setText(self.tr("It does not say what it can do: {0}").format(problem))
            return
        self._modes[camera.number] = modes
        for mode in modes:
            self._mode.addItem(str(mode), mode)
        self._mode_note.setText("" if modes else self.tr("It does not say what it can do"))

    def _show(self, page: QWidget) -> None:
        self._pages.setCurrentWidget(page)
        self._open.setEnabled(page is self._choice)
        self._rescan.setEnabled(page is not self._looking)

    def _forget(self) -> None:
        self._find.forget()
        self._ask_modes.forget()

    def _make_looking(self) -> QWidget:
        page, label, bar = QWidget(), QLabel(self.tr("Looking for cameras…")), BusyBar()
        label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        bar.setAccessibleName(self.tr("Looking for cameras"))
        bar.setToolTip(self.tr("Cameras are asked for their names"))
        column = QVBoxLayout(page)
        column.setContentsMargins(48, 0, 48, 0)
        column.setSpacing(16)
        column.addStretch(1)
        column.addWidget(label)
        column.addWidget(bar)
        column.addStretch(1)
        return page

    def _make_nothing(self) -> QWidget:
        page, title = QWidget(), QLabel(self.tr("No camera found"))
        title.setFont(scaled(title.font(), 1.3))
        advice = QLabel(
            self.tr(
                "Plug one in, or close the program that uses it and allow this one to see it in the privacy "
                "settings of the system; then scan again. A video file or the demo needs no camera."
            )
        )
        self._problem = QLabel()
        self._problem.setTextFormat(Qt.TextFormat.PlainText)
        column = QVBoxLayout(page)
        column.setContentsMargins(16, 0, 16, 0)
        column.setSpacing(16)
        column.addStretch(1)
        for label in (title, advice, self._problem):
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        column.addStretch(1)
        return page

    def _make_choice(self) -> QWidget:
        page = QWidget()
        self._list = QListWidget()
        self._list.setToolTip(self.tr("The cameras of this machine"))
        self._list.setAccessibleName(self.tr("Cameras"))
        self._list.currentRowChanged.connect(self._choose_camera)
        self._list.itemDoubleClicked.connect(self.accept)
        label = QLabel(self.tr("&Size and rate"))
        self._mode = QComboBox()
        self._mode.setToolTip(
            self.tr("What to ask of the camera; what it really gives is shown once it is open")
        )
        label.setBuddy(self._mode)
        self._mode_note = QLabel()
        self._mode_note.setWordWrap(True)
        self._mode_note.setMinimumHeight(self._mode_note.fontMetrics().height())
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self._mode, 1)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._list, 1)
        column.addLayout(row)
        column.addWidget(self._mode_note)
        return page

    def _make_buttons(self) -> QDialogButtonBox:
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self._open = QPushButton(icon("open"), self.tr("&Open"))
        self._open.setToolTip(self.tr("Show the chosen camera"))
        self._open.setDefault(True)
        self._rescan = QPushButton(icon("retry"), self.tr("&Rescan"))
        self._rescan.setToolTip(self.tr("Look for cameras again"))
        box.addButton(self._open, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self._rescan, QDialogButtonBox.ButtonRole.ResetRole)
        self._rescan.clicked.connect(self.rescan)
        cancel = box.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setText(self.tr("&Cancel"))
        for button in (self._rescan, cancel):
            button.setAutoDefault(False)
        cancel.setToolTip(self.tr("Close without opening a camera"))
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        return box
