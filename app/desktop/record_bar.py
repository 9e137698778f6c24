"""The bar that records: one button, a clock, what a take holds and loses, markers, what is written where."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.desktop.figures import format_time, tabular
from app.desktop.icon_button import FocusButton
from app.desktop.icons import icon
from app.desktop.record_parts import (
    ICON_PX,
    SMALL_HEIGHT,
    ElidedLabel,
    FolderButton,
    RecordButton,
    WriteMenu,
    format_bytes,
    set_text_colour,
)
from app.desktop.theme import status_colour
from app.take_values import TakeOptions, TakeStatus

NARROW_PX, SHORT_PX = 640, 720
"""Below the one the bar takes two rows, below the other losses are one number."""


class RecordBar(QWidget):
    """Shows how a take goes and asks for takes, markers and folders; it records nothing itself.

    Methods change what is shown and emit nothing.

    Signals:
        record_toggled: begin a take, or end it. marker_requested: mark this moment. options_changed:
        `options` has other values. folder_change_requested, folder_open_requested: choose, show the folder.
        take_open_requested: `Path` of a finished take's CSV.
    """

    record_toggled = Signal()
    marker_requested = Signal()
    options_changed = Signal()
    folder_change_requested = Signal()
    folder_open_requested = Signal()
    take_open_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._status: TakeStatus | None = None
        self._enabled, self._reason = True, ""
        self._options = TakeOptions(Path(), "")
        self.menu = WriteMenu(self)
        self.menu.tick(self._options)
        self.menu.changed.connect(self._take_ticks)
        self._rows = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(8)
        self._rows.addLayout(self._make_take_row(), 1)
        self._rows.addLayout(self._make_choice_row())
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._refresh()

    @property
    def options(self) -> TakeOptions:
        """What is ticked, with the folder shown; the name is as it was set."""
        return self._options

    def set_options(self, options: TakeOptions) -> None:
        """Show what is written and where."""
        self._options = options
        self.menu.tick(options)
        self.folder_button.set_folder(options.folder)

    def set_folder(self, folder: Path) -> None:
        """Show where takes go."""
        self.set_options(replace(self._options, folder=folder))

    def set_enabled_for_source(self, enabled: bool, reason: str = "") -> None:
        """Allow takes, or say why there can be none; one that is being recorded can always be stopped."""
        self._enabled, self._reason = enabled, reason
        self._refresh()

    def show_take(self, status: TakeStatus | None) -> None:
        """Show how the newest take goes; None before the first."""
        if status != self._status:
            self._status = status
            self._refresh()

    def minimumSizeHint(self) -> QSize:
        """Two rows in a narrow panel."""
        return QSize(264, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take one row or two."""
        super().resizeEvent(event)
        direction = QBoxLayout.Direction.LeftToRight
        if self.width() < NARROW_PX:
            direction = QBoxLayout.Direction.TopToBottom
        if direction != self._rows.direction():
            self._rows.setDirection(direction)
            self.updateGeometry()
        self._show_losses()

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_rows"):
            self._recolour()

    # --- parts -------------------------------------------------------------------------------------------

    def _make_take_row(self) -> QHBoxLayout:
        self.record_button = RecordButton()
        self.record_button.clicked.connect(self.record_toggled)
        self.clock = QLabel()
        font = tabular(self.font())
        font.setPointSizeF(font.pointSizeF() * 1.35)
        font.setBold(True)
        self.clock.setFont(font)
        self.clock.setToolTip(self.tr("Length of the take"))
        self.clock.setAccessibleName(self.tr("Length of the take"))
        self.line = ElidedLabel()
        self.line.setAccessibleName(self.tr("Take"))
        self.losses = QLabel()
        self.losses.setAccessibleName(self.tr("Losses"))
        self.open_button = QPushButton(self.tr("Ope&n"))
        width = self.open_button.fontMetrics().horizontalAdvance(self.tr("Open")) + 24
        self.open_button.setFixedSize(width, SMALL_HEIGHT)
        self.open_button.setToolTip(self.tr("Open the table of this take"))
        self.open_button.clicked.connect(self._ask_to_open)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.clock)
        words.addWidget(self.line)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.record_button)
        row.addSpacing(4)
        row.addLayout(words)
        row.addWidget(self.open_button)
        row.addStretch(1)
        row.addWidget(self.losses)
        return row

    def _make_choice_row(self) -> QHBoxLayout:
        self.marker_button = self._button("marker")
        self.marker_button.setToolTip(self.tr("Mark this moment in the take"))
        self.marker_button.clicked.connect(self.marker_requested)
        width = self.fontMetrics().horizontalAdvance(self.tr("Mark ({0})").format(88)) + ICON_PX + 20
        self.marker_button.setMinimumWidth(width)
        self.write_button = self._button("settings")
        self.write_button.setText(self.tr("&Write"))
        self.write_button.setToolTip(
            self.tr("What a take consists of; a change counts from the next take on")
        )
        self.write_button.setMenu(self.menu)
        self.write_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        # The style's arrow sits in the corner, off the line of the texts.
        self.write_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.folder_button = FolderButton()
        self.folder_button.clicked.connect(self.folder_change_requested)
        self.show_button = self._button("open")
        self.show_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        self.show_button.setFixedWidth(SMALL_HEIGHT)
        self.show_button.setToolTip(self.tr("Open the folder with the takes"))
        self.show_button.setAccessibleName(self.tr("Open the folder with the takes"))
        self.show_button.clicked.connect(self.folder_open_requested)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.marker_button, self.write_button, self.folder_button, self.show_button):
            row.addWidget(button)
        row.addStretch()
        return row

    def _button(self, icon_name: str) -> QToolButton:
        button = FocusButton()
        button.setIcon(icon(icon_name))
        button.setIconSize(QSize(ICON_PX, ICON_PX))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setFixedHeight(SMALL_HEIGHT)
        return button

    # --- what is shown -----------------------------------------------------------------------------------

    def _refresh(self) -> None:
        status = self._status
        recording = status is not None and status.state == "recording"
        self.record_button.set_recording(recording)
        self.record_button.setEnabled(self._enabled or recording)
        tip = self.tr("End the take") if recording else self._reason or self.tr("Begin a take")
        self.record_button.setToolTip(tip)
        self.clock.setText(format_time(0.0 if status is None else status.seconds))
        self.line.set_words(self._line_text())
        ended = status is not None and status.state in ("done", "failed")
        self.open_button.setVisible(ended and status is not None and status.paths is not None)
        self._show_losses()
        self.marker_button.setEnabled(recording)
        count = status.markers if status is not None else 0
        self.marker_button.setText(self.tr("&Mark ({0})").format(count) if count else self.tr("&Mark"))
        self._recolour()

    def _line_text(self) -> str:
        status = self._status
        if status is None:
            return self.tr("No take yet") if self._enabled else self._reason
        number = "" if status.number is None else str(status.number)
        size = format_bytes(status.bytes)
        if status.state == "failed" and not number:
            return self.tr("The take failed: {0}").format(status.message)
        if status.state == "failed":
            return self.tr("Take {0} failed: {1}").format(number, status.message)
        if status.state == "recording":
            if not number:
                return self.tr("Making the files…")
            return self.tr("Take {0} · {1}").format(number, size)
        if status.state == "finishing" and not number:
            return self.tr("Finishing the take…")
        if status.state == "finishing":
            return self.tr("Finishing take {0}…").format(number)
        return self.tr("Take {0} saved · {1}").format(number, size)

    def _show_losses(self) -> None:
        status = self._status
        rows, frames = (0, 0) if status is None else (status.lost_rows, status.lost_video_frames)
        parts, causes = [], []
        if rows:
            parts.append(self.tr("1 row") if rows == 1 else self.tr("{0} rows").format(rows))
            causes.append(
                self.tr("{0} lost: the disk cannot keep up; choose a folder on a faster one.").format(
                    parts[-1]
                )
            )
        if frames:
            words = self.tr("1 video frame") if frames == 1 else self.tr("{0} video frames").format(frames)
            parts.append(words)
            causes.append(
                self.tr(
                    "{0} lost: encoding cannot keep up; write one video fewer, or choose a smaller picture. "
                    "The table has the rows of these frames all the same."
                ).format(words)
            )
        narrow = self.width() < SHORT_PX
        what = str(rows + frames) if narrow else ", ".join(parts)
        self.losses.setText(self.tr("{0} lost").format(what))
        self.losses.setToolTip("\n".join(causes))
        self.losses.setVisible(bool(parts))

    def _recolour(self) -> None:
        palette = self.palette()
        failed = self._status is not None and self._status.state == "failed"
        faint = palette.color(QPalette.ColorRole.PlaceholderText)
        set_text_colour(self.line, status_colour("bad", palette) if failed else faint)
        recording = self._status is not None and self._status.state == "recording"
        text = palette.color(QPalette.ColorRole.WindowText)
        set_text_colour(self.clock, text if recording or self._status is not None else faint)
        set_text_colour(self.losses, status_colour("warning", palette))

    # --- what somebody does ------------------------------------------------------------------------------

    def _take_ticks(self) -> None:
        self._options = self.menu.apply_ticks(self._options)
        self.options_changed.emit()

    def _ask_to_open(self) -> None:
        if self._status is not None and self._status.paths is not None:
            self.take_open_requested.emit(self._status.paths.csv)
