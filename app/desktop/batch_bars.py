"""What is around the table of the batch tab: buttons, the whole's progress, and the empty queue."""

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QAction, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.batch_item import BatchTotals
from app.console import duration
from app.desktop.batch_parts import HEIGHT, ICON, PathLabel, push_button
from app.desktop.busy_bar import BusyBar
from app.desktop.icons import icon


class Toolbar(QWidget):
    """Adds to the queue, and does something with what is selected.

    Signals:
        files_wanted, folder_wanted: something to add.
    """

    files_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        files = push_button("file", self.tr("Add f&iles…"), self.tr("Add videos to the queue"))
        files.clicked.connect(self.files_wanted)
        folder = push_button(
            "folder", self.tr("Add f&older…"), self.tr("Add the videos in a folder, or a folder of images")
        )
        folder.clicked.connect(self.folder_wanted)
        self._overwrite: QToolButton | None = None
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)
        self._row.addWidget(files)
        self._row.addWidget(folder)
        self._row.addStretch(1)

    def set_actions(self, actions: Mapping[str, QAction]) -> None:
        """Put a button for each action at the end."""
        tips = {
            "open": self.tr("Open the result of the selected file (Return)"),
            "retry": self.tr("Try the selected files again, or all that failed where none is selected"),
            "overwrite": self.tr("Try again and replace the results that exist"),
            "cancel": self.tr("Cancel the selected files; what was written stays"),
            "remove": self.tr("Take the selected files off the queue (Delete)"),
        }
        icons = {"overwrite": "warning", "remove": "remove"}
        tools = QHBoxLayout()
        tools.setSpacing(4)
        for name, action in actions.items():
            action.setIcon(icon(icons.get(name, name)))
            action.setToolTip(tips[name])
            button = QToolButton()
            button.setDefaultAction(action)
            button.setIconSize(ICON)
            button.setAccessibleName(action.text())
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setFixedHeight(HEIGHT)
            if name == "overwrite":
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
                self._overwrite = button
            else:
                button.setFixedWidth(HEIGHT)
            tools.addWidget(button)
        self._row.addLayout(tools)

    def show_overwrite(self, shown: bool) -> None:
        """Show the button for results that exist only where there are such."""
        if self._overwrite is not None:
            self._overwrite.setVisible(shown)


class Footer(QWidget):
    """How the whole stands, and the button that starts and pauses it.

    Signals:
        start_wanted, pause_wanted, clear_wanted: the queue is to start, rest, drop what is finished.
    """

    start_wanted = Signal()
    pause_wanted = Signal()
    clear_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._running = False
        self._bar = BusyBar()
        self._bar.setAccessibleName(self.tr("Progress of the whole queue"))
        self._bar.setToolTip(self.tr("Progress of the whole queue, by the size of the files"))
        self._text = PathLabel(Qt.TextElideMode.ElideRight)
        self._clear = push_button(
            None, self.tr("C&lear finished"), self.tr("Take done and cancelled files away")
        )
        self._clear.clicked.connect(self.clear_wanted)
        self._start = push_button("play", self.tr("&Start"), "")
        self._start.setMinimumWidth(104)
        self._start.clicked.connect(self._toggle)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._text, 1)
        row.addWidget(self._clear)
        row.addWidget(self._start)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._bar)
        column.addLayout(row)

    @property
    def text(self) -> str:
        """How the queue stands, in words."""
        return self._text.full_text

    def show_totals(self, totals: BatchTotals) -> None:
        """Show how a queue stands."""
        self._running = totals.state == "running"
        self._bar.set_share(totals.share)
        self._bar.setVisible(totals.items > 0)
        self._text.show_text(self._words(totals))
        self._clear.setEnabled(totals.done + totals.cancelled > 0)
        self._start.setEnabled(totals.state != "idle" or totals.waiting > 0)
        self._start.setIcon(icon("pause" if self._running else "play"))
        texts = {"idle": self.tr("&Start"), "running": self.tr("Pa&use"), "paused": self.tr("Re&sume")}
        tips = {
            "idle": self.tr("Track the files that wait, one after another"),
            "running": self.tr("Rest after the frame at hand"),
            "paused": self.tr("Go on where it rested"),
        }
        self._start.setText(texts[totals.state])
        self._start.setToolTip(tips[totals.state])

    def _words(self, totals: BatchTotals) -> str:
        if totals.items == 0:
            return ""
        parts = [self.tr("{0} of {1} done").format(totals.done, totals.items)]
        if totals.done_before:
            parts.append(self.tr("{0} of them before").format(totals.done_before))
        if totals.failed:
            parts.append(self.tr("{0} failed").format(totals.failed))
        if totals.cancelled:
            parts.append(self.tr("{0} cancelled").format(totals.cancelled))
        if totals.state == "paused":
            parts.append(self.tr("paused"))
        elif totals.eta_s is not None:
            parts.append(self.tr("about {0} left").format(duration(totals.eta_s)))
        return " · ".join(parts)

    def _toggle(self) -> None:
        (self.pause_wanted if self._running else self.start_wanted).emit()


class EmptyBatch(QWidget):
    """Says what the queue is for, and takes the first files.

    Signals:
        files_wanted, folder_wanted: something to add.
    """

    files_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = QLabel()
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        title = QLabel(self.tr("Track many files, one after another"))
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        title.setFont(font)
        self._line = QLabel(
            self.tr("Drop videos or folders here. Each gets a CSV file and, if you like, an annotated video.")
        )
        for label in (title, self._line):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setWordWrap(True)
        files = push_button("file", self.tr("Choose files…"), self.tr("Add videos to the queue"))
        files.clicked.connect(self.files_wanted)
        folder = push_button(
            "folder", self.tr("Choose a folder…"), self.tr("Add the videos or images of a folder")
        )
        folder.clicked.connect(self.folder_wanted)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(files)
        row.addWidget(folder)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(8)
        column.addStretch(1)
        column.addWidget(self._icon)
        column.addWidget(title)
        column.addWidget(self._line)
        column.addSpacing(8)
        column.addLayout(row)
        column.addStretch(1)
        self._apply_palette()

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_line"):
            self._apply_palette()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the dashed edge of a place to drop things on."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1.5, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 8, 8)

    def _apply_palette(self) -> None:
        self._icon.setPixmap(icon("batch").pixmap(QSize(48, 48), self.devicePixelRatioF()))
        colours = self._line.palette()
        muted = self.palette().color(QPalette.ColorRole.PlaceholderText)
        colours.setColor(QPalette.ColorRole.WindowText, muted)
        self._line.setPalette(colours)
