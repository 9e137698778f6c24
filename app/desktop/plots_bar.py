"""The controls above the plots: what to add, whose lines, how long a stretch, pause and export."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QColor, QIcon, QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from app.desktop.icons import icon
from app.desktop.plots_data import KINDS, Quantity
from app.desktop.plots_words import kind_text, name_text
from engine.skeleton import Skeleton
from engine.tracking.angles import joint_triples

SPANS_S = (5.0, 10.0, 30.0, 60.0)
DEFAULT_SPAN_S = 10.0

Entry = tuple[int, str, QColor]
"""A person's number, name and colour."""

_ICON = QSize(18, 18)
_HEIGHT = 28
_WIDE_PX = 640


class PlotsBar(QWidget):
    """Two rows of controls.

    Signals:
        add_wanted: `Quantity` to plot. span_changed: seconds to show. raw_changed, paused_changed: new state.
        people_changed: what `chosen` says is another. export_wanted: write what is shown to a file.
    """

    add_wanted = Signal(object)
    span_changed = Signal(float)
    raw_changed = Signal(bool)
    paused_changed = Signal(bool)
    people_changed = Signal()
    export_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._skeleton: Skeleton | None = None
        self._people: list[Entry] = []
        self._full = False
        self.chosen: frozenset[int] | None = None
        self._rows = QBoxLayout(QBoxLayout.Direction.TopToBottom, self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(8)
        self._rows.addLayout(self._make_add_row())
        self._rows.addLayout(self._make_view_row())
        for control in (self._kind, self._name, self._add, self._who, self._span):
            control.setFixedHeight(_HEIGHT)
        for button in (self._raw, self._pause, self._export):
            button.setFixedSize(_HEIGHT, _HEIGHT)
        self._fill_names()

    @property
    def span_s(self) -> float:
        """Seconds to show."""
        return float(self._span.currentData())

    @property
    def raw(self) -> bool:
        """Whether raw values are wanted too."""
        return self._raw.isChecked()

    @property
    def paused(self) -> bool:
        """Whether the plots stand still."""
        return self._pause.isChecked()

    def set_skeleton(self, skeleton: Skeleton) -> None:
        """Offer this skeleton's keypoints and angles."""
        self._skeleton = skeleton
        self._fill_names()

    def set_full(self, full: bool) -> None:
        """Say whether there is room for no other plot."""
        self._full = full
        self._update_add()

    def set_exportable(self, exportable: bool) -> None:
        """Say whether there is anything to write."""
        self._export.setEnabled(exportable)

    def set_people(self, people: Sequence[Entry]) -> None:
        """Offer these people to choose from."""
        self._people = list(people)
        self._update_people_text()

    def set_span(self, span_s: float) -> None:
        """Show the nearest stretch of time that is offered, and say so."""
        nearest = min(range(len(SPANS_S)), key=lambda index: abs(SPANS_S[index] - span_s))
        self._span.setCurrentIndex(nearest)

    def set_raw(self, raw: bool) -> None:
        """Show raw values, and say so."""
        self._raw.setChecked(raw)

    def set_paused(self, paused: bool) -> None:
        """Let the plots stand still or run, and say so."""
        self._pause.setChecked(paused)

    def choose_people(self, track_ids: Sequence[int] | None) -> None:
        """Show only these people, or everybody, and say so."""
        self.chosen = None if track_ids is None else frozenset(track_ids)
        self._update_people_text()
        self.people_changed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put both rows side by side where there is room."""
        super().resizeEvent(event)
        wide = event.size().width() >= _WIDE_PX
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if direction != self._rows.direction():
            self._rows.setDirection(direction)
            self._rows.setSpacing(16 if wide else 8)

    def _make_add_row(self) -> QHBoxLayout:
        self._kind, self._name = QComboBox(), QComboBox()
        for kind in KINDS:
            self._kind.addItem(kind_text(kind), kind)
        for box, name, tip in (
            (self._kind, self.tr("Quantity"), self.tr("What to plot")),
            (self._name, self.tr("Keypoint or angle"), self.tr("Which keypoint or joint angle to plot")),
        ):
            box.setAccessibleName(name)
            box.setToolTip(tip)
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(5)
        self._kind.currentIndexChanged.connect(self._fill_names)
        self._name.currentIndexChanged.connect(self._update_add)
        self._add = _button("add", self.tr("Add plot"), self.tr("Add a plot of this below the others"))
        self._add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._add.setText(self.tr("&Add"))
        self._add.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self._add.clicked.connect(self._emit_add)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._kind, 1)
        row.addWidget(self._name, 1)
        row.addWidget(self._add)
        return row

    def _make_view_row(self) -> QHBoxLayout:
        self._who = QPushButton()
        self._who.setAccessibleName(self.tr("People"))
        self._who.setToolTip(self.tr("Choose whose lines are shown"))
        self._menu = QMenu(self._who)
        self._menu.aboutToShow.connect(self._fill_menu)
        self._who.setMenu(self._menu)
        self._span = QComboBox()
        for span_s in SPANS_S:
            self._span.addItem(self.tr("{0} s").format(f"{span_s:g}"), span_s)
        self._span.setCurrentIndex(SPANS_S.index(DEFAULT_SPAN_S))
        self._span.setAccessibleName(self.tr("Stretch of time"))
        self._span.setToolTip(self.tr("How long a stretch of time is shown"))
        self._span.currentIndexChanged.connect(lambda _index: self.span_changed.emit(self.span_s))
        self._raw = _button(
            "raw",
            self.tr("Raw values"),
            self.tr("Show the raw values too, before smoothing, as dotted lines"),
        )
        self._raw.setCheckable(True)
        self._raw.toggled.connect(self.raw_changed)
        self._pause = _button("pause", self.tr("Pause plots"), "")
        self._pause.setCheckable(True)
        self._pause.toggled.connect(self._show_pause)
        self._pause.toggled.connect(self.paused_changed)
        self._show_pause(False)
        self._export = _button(
            "download", self.tr("Export as CSV"), self.tr("Write the values that are shown to a CSV file…")
        )
        self._export.clicked.connect(self.export_wanted)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._who)
        row.addWidget(self._span)
        row.addStretch(1)
        tools = QHBoxLayout()
        tools.setSpacing(2)
        for button in (self._raw, self._pause, self._export):
            tools.addWidget(button)
        row.addLayout(tools)
        self._update_people_text()
        return row

    def _show_pause(self, paused: bool) -> None:
        self._pause.setIcon(icon("play" if paused else "pause"))
        self._pause.setToolTip(
            self.tr("Go on plotting")
            if paused
            else self.tr("Hold the plots still; then drag to move through time and scroll to zoom")
        )

    def _fill_names(self) -> None:
        kept, names = self._name.currentText(), self._names()
        self._name.blockSignals(True)
        self._name.clear()
        for name in names:
            self._name.addItem(name_text(name), name)
        self._name.setCurrentIndex(max(self._name.findText(kept), 0) if names else -1)
        self._name.blockSignals(False)
        self._update_add()

    def _names(self) -> list[str]:
        if self._skeleton is None:
            return []
        if self._kind.currentData() == "angle":
            return list(joint_triples(self._skeleton))
        return list(self._skeleton.keypoints)

    def _update_add(self) -> None:
        self._name.setEnabled(self._name.count() > 0)
        self._add.setEnabled(not self._full and self._name.currentIndex() >= 0)
        self._add.setToolTip(
            self.tr("There is room for four plots; remove one first")
            if self._full
            else self.tr("Add a plot of this below the others")
        )

    def _emit_add(self) -> None:
        self.add_wanted.emit(Quantity(self._kind.currentData(), self._name.currentData()))

    def _fill_menu(self) -> None:
        self._menu.clear()
        everybody = QAction(self.tr("Everybody"), self._menu)
        everybody.setCheckable(True)
        everybody.setChecked(self.chosen is None)
        everybody.triggered.connect(lambda: self.choose_people(None))
        self._menu.addAction(everybody)
        if self._people:
            self._menu.addSeparator()
        for track_id, name, colour in self._people:
            action = QAction(_swatch(colour, self.devicePixelRatioF()), name, self._menu)
            action.setCheckable(True)
            action.setChecked(self.chosen is not None and track_id in self.chosen)
            action.triggered.connect(lambda on, person=track_id: self._toggle_person(person, on))
            self._menu.addAction(action)

    def _toggle_person(self, track_id: int, on: bool) -> None:
        chosen = set(self.chosen or ())
        chosen = chosen | {track_id} if on else chosen - {track_id}
        self.choose_people(sorted(chosen) or None)

    def _update_people_text(self) -> None:
        names = {track_id: name for track_id, name, _ in self._people}
        if self.chosen is None:
            text = self.tr("Everybody")
        elif len(self.chosen) == 1:
            (one,) = self.chosen
            text = names.get(one, self.tr("Person {0}").format(one))
        else:
            text = self.tr("{0} people").format(len(self.chosen))
        self._who.setText(self._who.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, 96))


def _button(icon_name: str, name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setIcon(icon(icon_name))
    button.setIconSize(_ICON)
    button.setAccessibleName(name)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def _swatch(colour: QColor, scale: float) -> QIcon:
    pixmap = QPixmap(round(16 * scale), round(16 * scale))
    pixmap.setDevicePixelRatio(scale)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(3, 3, 10, 10)
    painter.end()
    return QIcon(pixmap)
