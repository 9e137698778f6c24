"""Where the time of a frame goes: one bar in pieces, with a legend."""

import math
from collections.abc import Mapping

from PySide6.QtCore import QCoreApplication, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QPainter, QPainterPath, QPaintEvent, QPalette
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from app.desktop.figures import format_number, tabular
from app.desktop.theme import status_colour

STAGES = ("decode_source", "find", "prepare", "infer", "decode", "track")
"""Stages of a frame in their order, as `engine.timing` names them."""

_BAR_HEIGHT = 16
_SWATCH_PX = 10
_CORNER = 3.0


def stage_name(stage: str) -> str:
    """Return what people call a stage."""
    names = {
        "decode_source": QCoreApplication.translate("StageTimes", "read"),
        "find": QCoreApplication.translate("StageTimes", "find"),
        "prepare": QCoreApplication.translate("StageTimes", "prepare"),
        "infer": QCoreApplication.translate("StageTimes", "network"),
        "decode": QCoreApplication.translate("StageTimes", "decode"),
        "track": QCoreApplication.translate("StageTimes", "track"),
    }
    return names.get(stage, stage.replace("_", " "))


def stage_meaning(stage: str) -> str:
    """Return exactly what the time of a stage is."""
    meanings = {
        "decode_source": QCoreApplication.translate("StageTimes", "Waiting for the next frame of the source"),
        "find": QCoreApplication.translate(
            "StageTimes", "Looking for people in the whole frame, shared among all frames"
        ),
        "prepare": QCoreApplication.translate(
            "StageTimes", "Cutting people out and scaling them for the network"
        ),
        "infer": QCoreApplication.translate("StageTimes", "Running the network that sees the keypoints"),
        "decode": QCoreApplication.translate("StageTimes", "Turning heatmaps into keypoints and people"),
        "track": QCoreApplication.translate(
            "StageTimes", "Following people through time and smoothing their keypoints"
        ),
    }
    return meanings.get(stage, stage_name(stage))


def in_order(stages_ms: Mapping[str, float]) -> list[str]:
    """Return the known stages in their order, then others that were measured."""
    return [*STAGES, *(stage for stage in stages_ms if stage not in STAGES)]


def stage_colour(stage: str, palette: QPalette) -> QColor:
    """Return the colour of a stage: steps of lightness and two hues, told apart without seeing hues."""
    accent, warm = status_colour("accent", palette), status_colour("warning", palette)
    ground = palette.color(QPalette.ColorRole.Base)
    text = palette.color(QPalette.ColorRole.Text)
    colours = {
        "decode_source": _mix(text, ground, 0.55),
        "find": warm,
        "prepare": _mix(accent, ground, 0.65),
        "infer": accent,
        "decode": _mix(accent, ground, 0.4),
        "track": _mix(warm, ground, 0.5),
    }
    return colours.get(stage, _mix(text, ground, 0.35))


class StageTimes(QWidget):
    """A stacked bar of milliseconds per stage above its legend."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = _StackedBar()
        self._values: dict[str, QLabel] = {}
        self._legend = QGridLayout()
        self._legend.setContentsMargins(0, 0, 0, 0)
        self._legend.setHorizontalSpacing(8)
        self._legend.setVerticalSpacing(4)
        for column in (1, 5):
            self._legend.setColumnStretch(column, 1)
        self._legend.setColumnMinimumWidth(3, 8)
        column_layout = QVBoxLayout(self)
        column_layout.setContentsMargins(0, 0, 0, 0)
        column_layout.setSpacing(8)
        column_layout.addWidget(self._bar)
        column_layout.addLayout(self._legend)
        self.show_stages({})

    def show_stages(self, stages_ms: Mapping[str, float]) -> None:
        """Show mean milliseconds per stage and frame."""
        for stage in in_order(stages_ms):
            if stage not in self._values:
                self._add_row(stage)
            self._values[stage].setText(format_number(stages_ms.get(stage, math.nan)))
        self._bar.set_stages({stage: stages_ms.get(stage, math.nan) for stage in in_order(stages_ms)})

    def value_text(self, stage: str) -> str:
        """Return what the legend says of a stage."""
        return self._values[stage].text()

    def _add_row(self, stage: str) -> None:
        index = len(self._values)
        row, left = index // 2, 4 * (index % 2)
        swatch = _Swatch(stage)
        name = QLabel(stage_name(stage))
        value = QLabel()
        value.setFont(tabular(self.font()))
        value.setMinimumWidth(value.fontMetrics().horizontalAdvance("8888.8"))
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setAccessibleName(stage_name(stage))
        tip = QCoreApplication.translate("StageTimes", "{0}: mean milliseconds per frame").format(
            stage_meaning(stage)
        )
        for offset, widget in enumerate((swatch, name, value)):
            widget.setToolTip(tip)
            self._legend.addWidget(widget, row, left + offset)
        self._values[stage] = value


class _StackedBar(QWidget):
    """The bar: pieces as wide as their share, a pixel of ground between them."""

    def __init__(self) -> None:
        super().__init__()
        self._stages_ms: dict[str, float] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(QCoreApplication.translate("StageTimes", "Time per stage"))

    def sizeHint(self) -> QSize:
        return QSize(160, _BAR_HEIGHT)

    def set_stages(self, stages_ms: Mapping[str, float]) -> None:
        self._stages_ms = {stage: ms for stage, ms in stages_ms.items() if math.isfinite(ms) and ms > 0}
        self.update()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(event.pos().x()), self)
            return True
        return super().event(event)

    def tip_at(self, x: float) -> str:
        """Return what is said of the piece at a place, px from the left."""
        for stage, piece in self._pieces():
            if piece.left() <= x <= piece.right():
                return (
                    f"{stage_name(stage)}: {format_number(self._stages_ms[stage])} ms. {stage_meaning(stage)}"
                )
        return QCoreApplication.translate("StageTimes", "Mean milliseconds per frame, stage by stage")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rounded = QPainterPath()
        rounded.addRoundedRect(self.rect().toRectF(), _CORNER, _CORNER)
        painter.setClipPath(rounded)
        painter.fillPath(rounded, self.palette().color(QPalette.ColorRole.Base))
        for stage, piece in self._pieces():
            painter.fillRect(piece, stage_colour(stage, self.palette()))

    def _pieces(self) -> list[tuple[str, QRectF]]:
        total = sum(self._stages_ms.values())
        pieces, left = [], 0.0
        for stage, ms in self._stages_ms.items():
            width = self.width() * ms / total
            pieces.append((stage, QRectF(left, 0, max(width - 1, 0.5), self.height())))
            left += width
        return pieces


class _Swatch(QWidget):
    """A small square in a stage's colour."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self._stage = stage
        self.setFixedSize(_SWATCH_PX, _SWATCH_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(stage_colour(self._stage, self.palette()))
        painter.drawRoundedRect(self.rect().toRectF(), 2, 2)


def _mix(first: QColor, second: QColor, share: float) -> QColor:
    """Return `share` of the first colour over the second."""
    mixed = QColor(first)
    red = first.red() * share + second.red() * (1 - share)
    green = first.green() * share + second.green() * (1 - share)
    blue = first.blue() * share + second.blue() * (1 - share)
    mixed.setRgb(round(red), round(green), round(blue))
    return mixed
