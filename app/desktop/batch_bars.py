"""What is around the table of the batch tab: buttons, options, the whole's progress, and the empty queue."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QAction, QPainter, QPaintEvent, QPalette, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.batch_item import BatchTotals, QueueOptions
from app.console import duration
from app.desktop.busy_bar import BusyBar
from app.desktop.icons import icon

_ICON = QSize(18, 18)
_HEIGHT = 32


class Toolbar(QWidget):
    """Adds to the queue, and does something with what is selected.

    Signals:
        files_wanted, folder_wanted: something to add.
    """

    files_wanted = Signal()
    folder_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        files = _push("file", self.tr("Add f&iles…"), self.tr("Add videos to the queue"))
        files.clicked.connect(self.files_wanted)
        folder = _push(
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
            button.setIconSize(_ICON)
            button.setAccessibleName(action.text())
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setFixedHeight(_HEIGHT)
            if name == "overwrite":
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
                self._overwrite = button
            else:
                button.setFixedWidth(_HEIGHT)
            tools.addWidget(button)
        self._row.addLayout(tools)

    def show_overwrite(self, shown: bool) -> None:
        """Show the button for results that exist only where there are such."""
        if self._overwrite is not None:
            self._overwrite.setVisible(shown)


class OptionsRow(QWidget):
    """Where results go and what is written.

    Signals:
        out_wanted: somebody wants to choose the folder. changed: `apply` gives other options than before.
    """

    out_wanted = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._out: Path | None = None
        label = QLabel(self.tr("Results:"))
        self._path = _PathLabel()
        self._choose = _push("folder", self.tr("&Choose…"), self.tr("Choose the folder of the results"))
        self._choose.clicked.connect(self.out_wanted)
        label.setBuddy(self._choose)
        self._beside = QToolButton()
        self._beside.setIcon(icon("reset"))
        self._beside.setIconSize(_ICON)
        self._beside.setFixedSize(_HEIGHT, _HEIGHT)
        self._beside.setAccessibleName(self.tr("Beside each file"))
        self._beside.setToolTip(self.tr("Put results beside each file again"))
        self._beside.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._beside.clicked.connect(lambda: self.choose_out(None))
        self._video = QCheckBox(self.tr("A&nnotated video"))
        self._video.setToolTip(self.tr("Write a video with the people drawn in, beside the CSV"))
        self._raw = QCheckBox(self.tr("Ra&w keypoints"))
        self._raw.setToolTip(self.tr("Write keypoints before smoothing too, in columns of their own"))
        for box in (self._video, self._raw):
            box.toggled.connect(lambda _on: self.changed.emit())
        self._fps = QDoubleSpinBox()
        self._fps.setRange(0.1, 1000.0)
        self._fps.setDecimals(1)
        self._fps.setSuffix(self.tr(" fps"))
        self._fps.setKeyboardTracking(False)
        self._fps.setToolTip(self.tr("Frame rate of folders of images; videos have their own"))
        self._fps.valueChanged.connect(lambda _fps: self.changed.emit())
        images = QLabel(self.tr("I&mages at"))
        images.setBuddy(self._fps)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self._path, 1)
        row.addWidget(self._beside)
        row.addWidget(self._choose)
        boxes = QHBoxLayout()
        boxes.setSpacing(16)
        boxes.addWidget(self._video)
        boxes.addWidget(self._raw)
        boxes.addStretch(1)
        pace = QHBoxLayout()
        pace.setSpacing(8)
        pace.addWidget(images)
        pace.addWidget(self._fps)
        boxes.addLayout(pace)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(row)
        column.addLayout(boxes)
        self._show_out()

    def show_options(self, options: QueueOptions) -> None:
        """Show options without telling of a change."""
        self._out = options.out
        for box, on in ((self._video, options.video), (self._raw, options.write.raw)):
            box.blockSignals(True)
            box.setChecked(on)
            box.blockSignals(False)
        self._fps.blockSignals(True)
        self._fps.setValue(options.fps)
        self._fps.blockSignals(False)
        self._show_out()

    def choose_out(self, out: Path | None) -> None:
        """Put results into this folder, None beside each file, and tell of it."""
        self._out = out
        self._show_out()
        self.changed.emit()

    def apply(self, options: QueueOptions) -> QueueOptions:
        """Return options with what is chosen here."""
        write = replace(options.write, raw=self._raw.isChecked())
        return replace(
            options, out=self._out, video=self._video.isChecked(), write=write, fps=self._fps.value()
        )

    def _show_out(self) -> None:
        self._path.show_text(self.tr("beside each file") if self._out is None else str(self._out))
        self._beside.setEnabled(self._out is not None)


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
        self._text = _PathLabel(Qt.TextElideMode.ElideRight)
        self._clear = _push(None, self.tr("C&lear finished"), self.tr("Take done and cancelled files away"))
        self._clear.clicked.connect(self.clear_wanted)
        self._start = _push("play", self.tr("&Start"), "")
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
        files = _push("file", self.tr("Choose files…"), self.tr("Add videos to the queue"))
        files.clicked.connect(self.files_wanted)
        folder = _push("folder", self.tr("Choose a folder…"), self.tr("Add the videos or images of a folder"))
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


class _PathLabel(QLabel):
    """One line that is shortened to the room there is, with the whole as its tooltip."""

    def __init__(self, mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle) -> None:
        super().__init__()
        self._mode = mode
        self.full_text = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self.full_text = text
        self.setToolTip(text)
        self._shorten()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten it anew."""
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        self.setText(self.fontMetrics().elidedText(self.full_text, self._mode, max(self.width(), 40)))


def _push(icon_name: str | None, text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    if icon_name:
        button.setIcon(icon(icon_name))
        button.setIconSize(_ICON)
    button.setToolTip(tip)
    button.setFixedHeight(_HEIGHT)
    return button
