"""One model of the list: what it is, what can be done with it, and how far its download is."""

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.desktop.busy_bar import BusyBar
from app.desktop.icons import icon
from app.desktop.key_habits import leave_focus_of
from app.desktop.theme import status_colour
from app.model_rows import ModelRow
from app.model_store import JobProgress

SMALL_FONT = 0.88
ARMED_MS = 4000
"""How long "Really remove" waits for the second click."""


class ModelCard(QFrame):
    """A model's row."""

    download_wanted = Signal()
    cancel_wanted = Signal()
    remove_wanted = Signal()
    use_wanted = Signal()

    def __init__(self, row: ModelRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = row
        self._working = False
        self._name = ElidedLabel()
        self._name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        font = self._name.font()
        font.setBold(True)
        self._name.setFont(font)
        self._facts, self._licence = _small_label(), _small_label(ElidedLabel())
        self._message = _small_label()
        self._message.setWordWrap(True)
        self._message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._bar = BusyBar()
        self._bar.setAccessibleName(self.tr("Progress of {name}").format(name=row.name))
        self.use = self._button("check", self.tr("Use"), self.tr("Track with this model from now on"))
        self.use.clicked.connect(self.use_wanted)
        self.download = self._button(
            "download", self.tr("Download"), self.tr("Download this model and convert it, in the background")
        )
        self.download.clicked.connect(self.download_wanted)
        self.cancel = self._button(
            "cancel", self.tr("Cancel"), self.tr("Stop; what has come is kept for the next time")
        )
        self.cancel.clicked.connect(self.cancel_wanted)
        self.remove = self._button("remove", "", self.tr("Delete the model's files from this computer"))
        self.remove.clicked.connect(self._on_remove)
        self._disarm_timer = QTimer(self, singleShot=True, interval=ARMED_MS)
        self._disarm_timer.timeout.connect(self._disarm)
        self._armed = False
        self._lay_out()
        self.set_row(row)

    @property
    def row(self) -> ModelRow:
        """What is shown."""
        return self._row

    def set_row(self, row: ModelRow) -> None:
        """Show another state of the model."""
        self._row = row
        self._name.setText(row.name)
        self._facts.setText(self._describe())
        self._licence.setText(row.licence)
        self.setToolTip(self._describe_fully())
        if row.problem:
            self.set_message(row.problem)
        self._disarm()

    def set_progress(self, progress: JobProgress | None, *, stopping: bool = False) -> None:
        """Show how far a download is; None ends it."""
        self._working = progress is not None
        self._bar.setVisible(progress is not None and progress.phase != "waiting")
        if progress is not None:
            self._say(self._describe_progress(progress, stopping), bad=False)
            total = progress.total_bytes if progress.phase == "downloading" else None
            self._bar.set_share(progress.done_bytes / total if total else None)
            self.cancel.setEnabled(not stopping)
        self._show_buttons()

    def set_message(self, text: str, *, bad: bool = True) -> None:
        """Say how it ended; empty says nothing."""
        self._say(text, bad=bad)

    def message(self) -> str:
        """Return what is said below the model."""
        return self._message.text()

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._colour_message()

    def _button(self, sign: str, text: str, tip: str) -> QPushButton:
        button = QPushButton(icon(sign), text)
        button.setToolTip(tip)
        button.setAccessibleName(f"{text or tip}: {self._row.name}")
        button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        leave_focus_of(button)
        return button

    def _lay_out(self) -> None:
        last = QHBoxLayout()
        last.setSpacing(4)
        last.addWidget(self._licence, 1)
        for button in (self.use, self.download, self.cancel, self.remove):
            last.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addWidget(self._name)
        column.addWidget(self._facts)
        column.addLayout(last)
        column.addWidget(self._bar)
        column.addWidget(self._message)
        self._licence.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._bar.hide()
        self._message.hide()
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setFrameShape(QFrame.Shape.NoFrame)

    def _show_buttons(self) -> None:
        row, idle = self._row, not self._working
        self.use.setVisible(idle and row.at_hand and not self._armed)
        self.download.setVisible(idle and self._can_download())
        self.cancel.setVisible(self._working)
        self.remove.setVisible(idle and row.state in ("downloaded", "damaged"))

    def _can_download(self) -> bool:
        return self._row.state == "available" or (self._row.state == "damaged" and bool(self._row.kind))

    def _describe(self) -> str:
        row = self._row
        kinds = {"top-down": self.tr("Top-down"), "bottom-up": self.tr("Bottom-up")}
        parts = [kinds.get(row.kind, row.kind), row.accuracy]
        if row.size_bytes is not None:
            size = f"{row.size_bytes / 1e6:.0f}"
            text = (
                self.tr("{size} MB")
                if row.state not in ("available", "by hand")
                else self.tr("about {size} MB")
            )
            parts.append(text.format(size=size))
        states = {
            "bundled": self.tr("bundled"),
            "by hand": self.tr("from a file of your own"),
            "damaged": self.tr("damaged"),
        }
        parts.append(states.get(row.state, ""))
        return " · ".join(part for part in parts if part)

    def _describe_fully(self) -> str:
        row = self._row
        lines = [
            row.name,
            self.tr("{count} keypoints, input {width} × {height} px").format(
                count=row.keypoints, width=row.input_size[1], height=row.input_size[0]
            ),
        ]
        if row.accuracy:
            on = self.tr("{figure}, measured on {data}").format(figure=row.accuracy, data=row.judged_on)
            lines.append(on if row.judged_on else row.accuracy)
        if row.licence:
            lines.append(self.tr("Licence: {licence}").format(licence=row.licence))
        if row.training_data:
            lines.append(self.tr("Trained on {data}").format(data=row.training_data))
        if row.state == "by hand":
            command = f"steadypose models download {row.name} --from FILE"
            lines.append(self.tr("Published without a hash: {command}").format(command=command))
        lines.append(row.documented)
        return "\n".join(line for line in lines if line)

    def _describe_progress(self, progress: JobProgress, stopping: bool) -> str:
        if stopping:
            return self.tr("Stopping…")
        if progress.phase == "waiting":
            return self.tr("Waiting…")
        if progress.phase == "converting":
            return self.tr("Converting and checking…")
        done = f"{progress.done_bytes / 1e6:.0f}"
        if progress.total_bytes is None:
            return self.tr("Downloading, {done} MB").format(done=done)
        total = f"{progress.total_bytes / 1e6:.0f}"
        return self.tr("Downloading, {done} of {total} MB").format(done=done, total=total)

    def _say(self, text: str, *, bad: bool) -> None:
        self._message.setText(text[:1].upper() + text[1:])
        self._message.setVisible(bool(text))
        self._message.setProperty("bad", bad)
        self._colour_message()

    def _colour_message(self) -> None:
        palette = QPalette(self.palette())
        if self._message.property("bad"):
            for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):  # the ground decides which
                palette.setColor(role, status_colour("bad", palette))
        self._message.setPalette(palette)

    def _on_remove(self) -> None:
        if self._armed:
            self._disarm()
            self.remove_wanted.emit()
            return
        self._armed = True
        self.remove.setText(self.tr("Really remove"))
        self._show_buttons()
        self._disarm_timer.start()

    def _disarm(self) -> None:
        self._armed = False
        self._disarm_timer.stop()
        self.remove.setText("")
        self._show_buttons()


class ElidedLabel(QLabel):
    """A line that ends in dots where there is no room for all of it."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint as much of the text as fits."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.end()


def _small_label(label: QLabel | None = None) -> QLabel:
    label = label or QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    font = label.font()
    font.setPointSizeF(font.pointSizeF() * SMALL_FONT)
    label.setFont(font)
    return label
