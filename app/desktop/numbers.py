"""Numbers that can be trusted: how fast, how late, where the time goes, what was lost, and what is in use."""

from collections.abc import Mapping

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.desktop.choice_words import value_text
from app.desktop.figures import UNKNOWN, format_number, tabular
from app.desktop.icon_button import IconButton
from app.desktop.stage_times import StageTimes, in_order, stage_name
from engine.live_numbers import LATE, UNREADABLE, UNSHOWN
from engine.live_values import LiveNumbers


class NumbersPanel(QScrollArea):
    """Shows `LiveNumbers`, each with what it measures, and copies them as text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._numbers = LiveNumbers()
        self._values: dict[str, QLabel] = {}
        self._stages = StageTimes()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addLayout(self._make_title(self.tr("Speed"), self._make_copy()))
        column.addLayout(self._make_speed())
        column.addWidget(_line())
        column.addLayout(self._make_title(self.tr("Time per frame, ms")))
        column.addWidget(self._stages)
        column.addWidget(_line())
        column.addLayout(self._make_title(self.tr("Dropped frames")))
        column.addWidget(self._make_dropped())
        column.addWidget(_line())
        column.addLayout(self._make_title(self.tr("In use")))
        column.addLayout(self._make_use())
        column.addStretch(1)
        self.setWidget(content)
        self.show_numbers(self._numbers)

    def show_numbers(self, numbers: LiveNumbers) -> None:
        """Show other numbers; what is not known is a dash."""
        self._numbers = numbers
        for name, text in _texts(numbers).items():
            label = self._values[name]
            if label.text() != text:
                label.setText(text)
        self._stages.show_stages(numbers.stages_ms)

    def value_text(self, name: str) -> str:
        """Return what is shown of a field of `LiveNumbers`."""
        return self._values[name].text()

    def copy(self) -> None:
        """Put all numbers as text on the clipboard."""
        QGuiApplication.clipboard().setText(numbers_text(self._numbers))

    def _make_title(self, text: str, widget: QWidget | None = None) -> QHBoxLayout:
        title = QLabel(text)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        row = QHBoxLayout()
        row.addWidget(title, 1)
        if widget is not None:
            row.addWidget(widget)
        return row

    def _make_copy(self) -> IconButton:
        button = IconButton("copy", self.tr("Copy all numbers as text"), name=self.tr("Copy numbers"))
        button.clicked.connect(self.copy)
        return button

    def _make_speed(self) -> QGridLayout:
        grid = _grid()
        rows = (
            ("capture_rate", self.tr("fps"), self.tr("Frames per second that the source gives")),
            ("inference_rate", self.tr("fps"), self.tr("Frames per second in which people are found")),
            (
                "display_rate",
                self.tr("fps"),
                self.tr("Frames per second that are painted in this window"),
            ),
            (
                "latency_p50_ms",
                self.tr("ms"),
                self.tr(
                    "From capture of a frame until it is painted with its people: half of them take less"
                ),
            ),
            (
                "latency_p95_ms",
                self.tr("ms"),
                self.tr("From capture of a frame until it is painted with its people: 19 of 20 take less"),
            ),
            ("people", "", self.tr("People on the newest frame")),
        )
        for row, (name, unit, tip) in enumerate(rows):
            self._add_number(grid, row, name, unit, tip)
        return grid

    def _add_number(self, grid: QGridLayout, row: int, name: str, unit: str, tip: str) -> None:
        title, value, unit_label = QLabel(field_name(name)), QLabel(), QLabel(unit)
        value.setFont(tabular(self.font()))
        value.setMinimumWidth(value.fontMetrics().horizontalAdvance("88888.8"))
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setAccessibleName(field_name(name))
        for column, label in enumerate((title, value, unit_label)):
            label.setToolTip(tip)
            grid.addWidget(label, row, column)
        self._values[name] = value

    def _make_use(self) -> QGridLayout:
        grid = _grid()
        rows = (
            (
                "mode",
                self.tr(
                    "How people are found: each cut out by itself (top-down), or all at once (bottom-up)"
                ),
            ),
            ("models", self.tr("The networks in use")),
            ("runtime", self.tr("What runs the networks; really in use, not what was asked for")),
            ("precision", self.tr("Arithmetic of the networks; really in use, not what was asked for")),
            ("device", self.tr("What the networks run on")),
        )
        for row, (name, tip) in enumerate(rows):
            title, value = QLabel(field_name(name)), self._make_words(name)
            for column, label in enumerate((title, value)):
                label.setToolTip(tip)
                label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
                grid.addWidget(label, row, column)
        grid.setColumnStretch(0, 0)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, 72)
        return grid

    def _make_dropped(self) -> QLabel:
        label = self._make_words("dropped")
        label.setToolTip(
            self.tr("Frames in which nobody was looked for since the source was opened, by cause")
        )
        return label

    def _make_words(self, name: str) -> QLabel:
        label = QLabel()
        label.setFont(tabular(self.font()))
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setAccessibleName(field_name(name))
        self._values[name] = label
        return label


def field_name(name: str) -> str:
    """Return what people call a field of `LiveNumbers`."""
    return {
        "capture_rate": QCoreApplication.translate("NumbersPanel", "Capture"),
        "inference_rate": QCoreApplication.translate("NumbersPanel", "Inference"),
        "display_rate": QCoreApplication.translate("NumbersPanel", "Display"),
        "latency_p50_ms": QCoreApplication.translate("NumbersPanel", "Latency p50"),
        "latency_p95_ms": QCoreApplication.translate("NumbersPanel", "Latency p95"),
        "people": QCoreApplication.translate("NumbersPanel", "People"),
        "dropped": QCoreApplication.translate("NumbersPanel", "Dropped"),
        "mode": QCoreApplication.translate("NumbersPanel", "Mode"),
        "models": QCoreApplication.translate("NumbersPanel", "Models"),
        "runtime": QCoreApplication.translate("NumbersPanel", "Runtime"),
        "precision": QCoreApplication.translate("NumbersPanel", "Precision"),
        "device": QCoreApplication.translate("NumbersPanel", "Device"),
    }[name]


def cause_text(cause: str) -> str:
    """Return why frames were dropped, in the user's language."""
    texts = {
        LATE: QCoreApplication.translate("NumbersPanel", "Newer frame came first"),
        UNREADABLE: QCoreApplication.translate("NumbersPanel", "Unreadable"),
        UNSHOWN: QCoreApplication.translate("NumbersPanel", "Window behind"),
    }
    return texts.get(cause) or cause[:1].upper() + cause[1:]


def numbers_text(numbers: LiveNumbers) -> str:
    """Return all numbers as lines of text, to be pasted into a message."""
    units = {"capture_rate": "fps", "inference_rate": "fps", "display_rate": "fps"}
    units |= {"latency_p50_ms": "ms", "latency_p95_ms": "ms"}
    lines = []
    for name, text in _texts(numbers).items():
        unit = f" {units[name]}" if name in units and text != UNKNOWN else ""
        lines.append(f"{field_name(name)}: {text.replace(chr(10), ', ')}{unit}")
    stages = [
        f"{stage_name(stage)} {format_number(numbers.stages_ms[stage])} ms"
        for stage in in_order(numbers.stages_ms)
        if stage in numbers.stages_ms
    ]
    title = QCoreApplication.translate("NumbersPanel", "Time per frame")
    lines.append(f"{title}: {', '.join(stages) or UNKNOWN}")
    return "\n".join(lines)


def _texts(numbers: LiveNumbers) -> dict[str, str]:
    return {
        "capture_rate": format_number(numbers.capture_rate),
        "inference_rate": format_number(numbers.inference_rate),
        "display_rate": format_number(numbers.display_rate),
        "latency_p50_ms": format_number(numbers.latency_p50_ms, 0),
        "latency_p95_ms": format_number(numbers.latency_p95_ms, 0),
        "people": str(numbers.people),
        "dropped": _dropped_text(numbers.dropped),
        "mode": value_text(numbers.mode) or UNKNOWN,
        "models": "\n".join(numbers.models) or UNKNOWN,
        "runtime": value_text(numbers.runtime) or UNKNOWN,
        "precision": value_text(numbers.precision) or UNKNOWN,
        "device": numbers.device or UNKNOWN,
    }


def _dropped_text(dropped: Mapping[str, int]) -> str:
    lost = [f"{cause_text(cause)}: {count}" for cause, count in dropped.items() if count]
    return "\n".join(lost) or QCoreApplication.translate("NumbersPanel", "None")


def _grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(0, 1)
    return grid


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line
