"""The plots under the controls: below each other, or in two columns where the panel is wide and low."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QWidget

from app.desktop.plots_view import MIN_HEIGHT, PlotCard

_WIDE_PX = 640
_SPACING = 8


class PlotStack(QScrollArea):
    """Lays out plots, links their time axes on demand, and says so where there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cards: list[PlotCard] = []
        self._columns = 1
        self._linked = False
        self.empty = QLabel()
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        self.empty.setContentsMargins(24, 24, 24, 24)
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(_SPACING)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidget(inside)
        self.set_waiting(True)
        self.arrange()

    @property
    def columns(self) -> int:
        """How many plots stand side by side."""
        return self._columns

    def set_waiting(self, waiting: bool) -> None:
        """Say, where there is no plot, that there is nothing to plot yet, or how to add one."""
        self.empty.setText(
            self.tr("Open a source, and its people can be plotted here.")
            if waiting
            else self.tr("No plots. Choose a quantity and a keypoint above, and add a plot.")
        )

    def add(self, card: PlotCard) -> None:
        """Take a plot in, after the others; `arrange` puts it in its place."""
        if self.cards:
            card.set_time_range(*self.cards[0].time_range)
        self.cards.append(card)

    def remove(self, card: PlotCard) -> None:
        """Take a plot out and delete it."""
        self.cards.remove(card)
        card.view_box.setXLink(None)
        self._grid.removeWidget(card)
        card.hide()
        card.deleteLater()

    def arrange(self) -> None:
        """Put all plots in their places."""
        self._columns = self._fitting_columns()
        self._grid.removeWidget(self.empty)
        self.empty.setVisible(not self.cards)
        if not self.cards:
            self._grid.addWidget(self.empty, 0, 0)
        for position, card in enumerate(self.cards):
            self._grid.addWidget(card, *divmod(position, self._columns))
            card.set_bottom(position + self._columns >= len(self.cards))
        for column in (0, 1):
            self._grid.setColumnStretch(column, int(column < self._columns))
        self._link()

    def set_linked(self, linked: bool) -> None:
        """Let all time axes move as one, or each by itself: then one can be drawn without the others."""
        self._linked = linked
        self._link()

    def show_last(self) -> None:
        """Scroll to the last plot once it has its place."""
        QTimer.singleShot(0, self, self._scroll_to_last)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Choose one column or two."""
        super().resizeEvent(event)
        if self._fitting_columns() != self._columns:
            self.arrange()

    def _link(self) -> None:
        for card in self.cards:
            first = self.cards[0] if self._linked else card
            card.view_box.setXLink(None if card is first else first.view_box)

    def _scroll_to_last(self) -> None:
        if self.cards:
            self.ensureWidgetVisible(self.cards[-1])

    def _fitting_columns(self) -> int:
        below = len(self.cards) * (MIN_HEIGHT + _SPACING) - _SPACING
        wide = self.width() >= _WIDE_PX and len(self.cards) > 1
        return 2 if wide and below > self.height() else 1
