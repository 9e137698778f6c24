"""What the stage shows while it has no picture: the choice of a source. Its sister pages wait and fail."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.desktop.card import Card, RowButton
from app.desktop.figures import scaled
from app.desktop.icon_button import IconButton
from app.desktop.state_pages import ErrorPage, LoadingPage
from engine.live_values import SourceRequest
from engine.sources.address import mask_address

__all__ = ["ErrorPage", "LoadingPage", "WelcomePage"]

RECENT_SHOWN = 6
"""Most recent sources that are listed."""

_CONTENT_WIDTH = 720
_WIDE_FROM = 600
"""Width, px, from which the cards stand side by side."""


class WelcomePage(QScrollArea):
    """The first thing somebody sees: where should the picture come from?

    Signals:
        camera_wanted, file_wanted, folder_wanted, stream_wanted, demo_wanted: a kind of source was chosen.
        recent_chosen, recent_removed: the `SourceRequest` to open, or to forget.
    """

    camera_wanted = Signal()
    file_wanted = Signal()
    folder_wanted = Signal()
    stream_wanted = Signal()
    demo_wanted = Signal()
    recent_chosen = Signal(object)
    recent_removed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recent: tuple[SourceRequest, ...] = ()
        self._muted: list[QLabel] = []
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._content = self._make_content()
        page = QWidget()
        outer = QHBoxLayout(page)
        outer.setContentsMargins(16, 24, 16, 24)
        outer.addStretch(1)
        outer.addWidget(self._content, 1000)
        outer.addStretch(1)
        self.setWidget(page)
        self.set_recent([])
        self._arrange()
        self._recolour()

    @property
    def recent(self) -> tuple[SourceRequest, ...]:
        """The recent sources that are listed."""
        return self._recent

    def set_recent(self, requests: Sequence[SourceRequest]) -> None:
        """List sources that were open before, newest first; at most `RECENT_SHOWN` are shown."""
        self._recent = tuple(requests)[:RECENT_SHOWN]
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        for request in self._recent:
            row = _RecentRow(request)
            row.chosen.connect(lambda request=request: self.recent_chosen.emit(request))
            row.removed.connect(lambda request=request: self.recent_removed.emit(request))
            self._rows.addWidget(row)
        self._recent_title.setVisible(bool(self._recent))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Stand the cards side by side or one under the other."""
        super().resizeEvent(event)
        self._arrange()

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_content"):
            self._recolour()

    def _make_content(self) -> QWidget:
        content = QWidget()
        content.setMaximumWidth(_CONTENT_WIDTH)
        title = QLabel(self.tr("Who should be followed?"))
        title.setFont(scaled(title.font(), 1.8))
        title.setWordWrap(True)
        title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        line = self._muted_label(
            self.tr("Choose where the picture comes from. Every person in it gets a skeleton within seconds.")
        )
        self._cards = self._make_cards()
        self.setFocusProxy(self._cards[0])
        self._grid = QGridLayout()
        self._grid.setSpacing(16)
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addStretch(1)
        column.addWidget(title)
        column.addWidget(line)
        column.addSpacing(16)
        column.addLayout(self._grid)
        column.addSpacing(8)
        column.addLayout(self._make_smaller_choices())
        column.addWidget(self._muted_label(self.tr("Or drop a video file or a folder of pictures here.")))
        column.addSpacing(16)
        self._recent_title = QLabel(self.tr("Recent"))
        bold = self._recent_title.font()
        bold.setBold(True)
        self._recent_title.setFont(bold)
        column.addWidget(self._recent_title)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(0)
        column.addLayout(self._rows)
        column.addStretch(2)
        return content

    def _make_cards(self) -> list[Card]:
        cards = [
            Card("camera", self.tr("&Camera"), self.tr("Follow people live with a webcam or capture device")),
            Card("file", self.tr("Vide&o file"), self.tr("Open a recording and seek in it as you like")),
            Card("demo", self.tr("&Demo"), self.tr("See at once how it works, without a camera")),
        ]
        signals = (self.camera_wanted, self.file_wanted, self.demo_wanted)
        for card, signal in zip(cards, signals, strict=True):
            card.clicked.connect(signal)
        return cards

    def _make_smaller_choices(self) -> QHBoxLayout:
        folder = RowButton(
            "folder", self.tr("&Image folder…"), self.tr("Open a folder of pictures as one sequence")
        )
        stream = RowButton(
            "stream", self.tr("&Network stream…"), self.tr("Open an address such as rtsp:// or http://")
        )
        folder.clicked.connect(self.folder_wanted)
        stream.clicked.connect(self.stream_wanted)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addStretch(1)
        row.addWidget(folder)
        row.addWidget(stream)
        row.addStretch(1)
        return row

    def _muted_label(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setWordWrap(True)
        label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._muted.append(label)
        return label

    def _arrange(self) -> None:
        side_by_side = self.viewport().width() >= _WIDE_FROM
        for index, card in enumerate(self._cards):
            card.set_wide(not side_by_side)
            self._grid.addWidget(card, 0 if side_by_side else index, index if side_by_side else 0)

    def _recolour(self) -> None:
        for label in self._muted:
            palette = label.palette()
            muted = self.palette().color(QPalette.ColorRole.PlaceholderText)
            palette.setColor(QPalette.ColorRole.WindowText, muted)
            label.setPalette(palette)


class _RecentRow(QWidget):
    """A source that was open before: click to open, or take it off the list."""

    chosen = Signal()
    removed = Signal()

    def __init__(self, request: SourceRequest) -> None:
        super().__init__()
        text, tip = request.label.replace("&", "&&"), mask_address(str(request.spec))
        again = RowButton(_icon_of(request), text, tip, stretch=True)
        again.setAccessibleName(self.tr("Open {0}").format(request.label))
        again.clicked.connect(self.chosen)
        name = self.tr("Take {0} off the list").format(request.label)
        remove = IconButton("close", self.tr("Take it off this list; nothing is deleted"), name=name)
        remove.clicked.connect(self.removed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(again, 1)
        row.addWidget(remove)


def _icon_of(request: SourceRequest) -> str:
    spec = str(request.spec)
    if "://" in spec:
        return "stream"
    if spec == "demo":
        return "demo"
    if spec.isdigit() or spec.startswith("/dev/video"):
        return "camera"
    return "file" if Path(spec).suffix else "folder"
