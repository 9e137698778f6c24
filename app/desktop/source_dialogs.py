"""Dialogs that ask for a source: a camera, a network address, or how a folder of images is to be read."""

import math
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QCoreApplication, QEvent, Qt, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QCompleter,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.desktop.camera_dialog import CameraDialog
from app.desktop.icons import icon
from app.desktop.theme import status_colour
from engine.live_values import SourceRequest
from engine.sources.address import SCHEMES, mask_address

__all__ = ["CameraDialog", "FolderDialog", "StreamDialog", "address_problem"]

EXAMPLES = (
    "rtsp://192.168.0.20:554/stream1",
    "http://192.168.0.20:8080/video",
    "udp://0.0.0.0:5000",
)


def address_problem(address: str) -> str:
    """Return in a line what is wrong with a network address, "" where nothing is."""
    text = address.strip()
    if "://" not in text:
        return QCoreApplication.translate("StreamDialog", "An address begins with its kind, such as rtsp://")
    scheme = text.split("://")[0].lower()
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        return QCoreApplication.translate("StreamDialog", "{0}:// is not understood; these are: {1}").format(
            scheme, known
        )
    if any(character.isspace() for character in text):
        return QCoreApplication.translate("StreamDialog", "An address has no spaces in it; write %20 for one")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return QCoreApplication.translate(
            "StreamDialog", "The port behind the colon must be a number up to 65535"
        )
    if not host and not (scheme in ("udp", "tcp", "srt") and port):
        return QCoreApplication.translate(
            "StreamDialog", "Behind {0}:// the name or number of the machine is missing"
        ).format(scheme)
    if scheme in ("udp", "tcp", "srt") and not port:
        return QCoreApplication.translate(
            "StreamDialog", "{0}:// needs a port, such as {0}://{1}:5000"
        ).format(scheme, host)
    return ""


class StreamDialog(QDialog):
    """Asks for the address of a network stream. Show it with `open`.

    Args:
        recent: addresses that were used before, newest first.
        parent: the window.

    Signals:
        chosen: the `SourceRequest` of the stream; the dialog is closed by then.
    """

    chosen = Signal(object)

    def __init__(self, recent: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Open a network stream"))
        self.setMinimumWidth(440)
        self._address = QComboBox()
        self._address.setEditable(True)
        edit = QLineEdit()
        edit.setPlaceholderText(EXAMPLES[0])
        edit.setClearButtonEnabled(True)
        self._address.setLineEdit(edit)
        # Completion within the line would write over what is typed.
        completer = QCompleter(self._address.model(), self._address)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self._address.setCompleter(completer)
        self._address.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._address.addItems(list(recent))
        self._address.setCurrentIndex(0 if recent else -1)
        self._address.setToolTip(
            self.tr("Where the stream comes from; addresses used before are in the list")
        )
        label = QLabel(self.tr("&Address"))
        label.setBuddy(self._address)
        self._problem = QLabel()
        self._problem.setTextFormat(Qt.TextFormat.PlainText)
        self._problem.setWordWrap(True)
        self._problem.setMinimumHeight(2 * self._problem.fontMetrics().height())
        self._problem.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._examples = QLabel(self.tr("For example:\n{0}").format("\n".join(EXAMPLES)))
        self._examples.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._examples.setToolTip(self.tr("The camera's or sender's manual says its address"))
        self._open, buttons = _buttons(self, self.tr("Show the stream"))
        column = _column(self)
        for widget in (label, self._address, self._problem, self._examples):
            column.addWidget(widget)
        column.addStretch(1)
        column.addWidget(buttons)
        self._address.editTextChanged.connect(self._check)
        self._check()
        self._recolour()
        self._address.setFocus()

    @property
    def problem(self) -> str:
        """What is said to be wrong with the address, "" where nothing is."""
        return self._problem.text()

    def accept(self) -> None:
        """Close and say which address was chosen, if it can be one."""
        address = self._address.currentText().strip()
        if address_problem(address):
            self._problem.setText(address_problem(address))
            return
        super().accept()
        self.chosen.emit(SourceRequest(address, mask_address(address)))

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_open"):
            self._recolour()

    def _check(self) -> None:
        address = self._address.currentText().strip()
        problem = address_problem(address)
        self._open.setEnabled(not problem)
        self._problem.setText(problem if address else "")

    def _recolour(self) -> None:
        _colour_text(self._problem, status_colour("bad", self.palette()))
        _colour_text(self._examples, self.palette().color(QPalette.ColorRole.PlaceholderText))


class FolderDialog(QDialog):
    """Asks how a folder of images is to be read. Show it with `open`.

    Args:
        folder: with the images.
        fps: frames per second that are offered first.
        stills: whether independent pictures are offered first.
        parent: the window.

    Signals:
        chosen: the `SourceRequest` of the folder; the dialog is closed by then.
    """

    chosen = Signal(object)

    def __init__(
        self, folder: Path, fps: float = 30.0, *, stills: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._folder = folder
        self.setWindowTitle(self.tr("Open a folder of images"))
        self.setMinimumWidth(400)
        name = QLabel(str(folder))
        name.setTextFormat(Qt.TextFormat.PlainText)
        name.setWordWrap(True)
        name.setToolTip(self.tr("The folder with the images, read in the natural order of their names"))
        self._fps = QDoubleSpinBox()
        self._fps.setRange(0.01, 1000.0)
        self._fps.setDecimals(2)
        self._fps.setValue(fps if math.isfinite(fps) else 30.0)
        self._fps.setSuffix(self.tr(" fps"))
        self._fps.setToolTip(self.tr("How many images were taken in a second"))
        self._stills = QCheckBox(self.tr("&Independent pictures"))
        self._stills.setToolTip(
            self.tr("The images do not follow one another: nobody is followed through time")
        )
        self._stills.setChecked(stills)
        self._stills.toggled.connect(self._fps.setDisabled)
        self._fps.setDisabled(stills)
        self._open, buttons = _buttons(self, self.tr("Show the images"))
        form = QFormLayout()
        form.setHorizontalSpacing(16)
        form.setVerticalSpacing(8)
        form.addRow(self.tr("Folder"), name)
        form.addRow(self.tr("&Rate"), self._fps)
        form.addRow("", self._stills)
        column = _column(self)
        column.addLayout(form)
        column.addStretch(1)
        column.addWidget(buttons)
        self._fps.setFocus()

    def accept(self) -> None:
        """Close and say how the folder is to be read."""
        self._fps.interpretText()
        super().accept()
        label = self._folder.name or str(self._folder)
        self.chosen.emit(
            SourceRequest(self._folder, label, fps=self._fps.value(), stills=self._stills.isChecked())
        )


def _column(dialog: QDialog) -> QVBoxLayout:
    column = QVBoxLayout(dialog)
    column.setContentsMargins(16, 16, 16, 16)
    column.setSpacing(8)
    return column


def _buttons(dialog: QDialog, tip: str) -> tuple[QPushButton, QDialogButtonBox]:
    box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    open_button = QPushButton(icon("open"), QCoreApplication.translate("SourceDialogs", "&Open"))
    open_button.setToolTip(tip)
    open_button.setDefault(True)
    box.addButton(open_button, QDialogButtonBox.ButtonRole.AcceptRole)
    cancel = box.button(QDialogButtonBox.StandardButton.Cancel)
    cancel.setText(QCoreApplication.translate("SourceDialogs", "&Cancel"))
    cancel.setAutoDefault(False)
    cancel.setToolTip(QCoreApplication.translate("SourceDialogs", "Close without opening anything"))
    box.accepted.connect(dialog.accept)
    box.rejected.connect(dialog.reject)
    return open_button, box


def _colour_text(label: QLabel, colour: QColor) -> None:
    palette = label.palette()
    palette.setColor(QPalette.ColorRole.WindowText, colour)
    label.setPalette(palette)
