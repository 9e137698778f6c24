"""Parts of the record bar: its button, the menu of what is written, and the folder."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QPainter,
    QPalette,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy, QWidget

from app.desktop.icon_button import FocusButton
from app.desktop.icons import icon
from app.desktop.theme import status_colour
from app.desktop.tick_menu import TickMenu
from app.take_values import TakeOptions

BUTTON_HEIGHT = 40
SMALL_HEIGHT = 32
ICON_PX = 18
_DOT_PX, _DOT_GAP = 14, 6


class RecordButton(QPushButton):
    """The big button: a red dot with "Record", or a red square with "Stop", always of one width."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recording = False
        font = self.font()
        font.setBold(True)
        self.setFont(font)
        self.setIconSize(QSize(_DOT_PX + _DOT_GAP, _DOT_PX))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.set_recording(False)

    @property
    def recording(self) -> bool:
        """Whether the button offers to stop."""
        return self._recording

    def set_recording(self, recording: bool) -> None:
        """Offer to stop, or to record."""
        if self.text() and recording == self._recording:
            return
        self._recording = recording
        self.setText(self._words()[recording])
        self.setIcon(QIcon(_DotEngine(square=recording)))

    def sizeHint(self) -> QSize:
        """Room for the longer of its texts."""
        metrics = self.fontMetrics()
        longest = max(metrics.horizontalAdvance(text.replace("&", "")) for text in self._words())
        return QSize(longest + _DOT_PX + _DOT_GAP + 44, max(BUTTON_HEIGHT, metrics.height() + 16))

    def minimumSizeHint(self) -> QSize:
        """It is never smaller."""
        return self.sizeHint()

    def _words(self) -> tuple[str, str]:
        return self.tr("Re&cord"), self.tr("S&top")


class _DotEngine(QIconEngine):
    """A red dot or square in the colour of the theme at hand."""

    def __init__(self, *, square: bool) -> None:
        super().__init__()
        self._square = square

    def clone(self) -> QIconEngine:
        return _DotEngine(square=self._square)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        palette = QGuiApplication.palette()
        colour = status_colour("record", palette)
        if mode == QIcon.Mode.Disabled:
            colour = palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.ButtonText)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        # The room to the right of it keeps the text away.
        dot = QRectF(rect.left(), rect.top(), rect.height(), rect.height())
        unit = dot.height() / _DOT_PX
        if self._square:
            painter.drawRoundedRect(dot.adjusted(unit, unit, -unit, -unit), 2 * unit, 2 * unit)
        else:
            painter.drawEllipse(dot)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, pixmap.rect(), mode, state)
        painter.end()
        return pixmap


class WriteMenu(TickMenu):
    """What a take consists of; the names of its entries are fields of `TakeOptions`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.addSection(self.tr("Videos"))
        self.add_switch(
            "annotated_video", self.tr("&Annotated video"), self.tr("With the people drawn on it")
        )
        self.add_switch(
            "clean_video", self.tr("&Clean video"), self.tr("As it came, without anything drawn on it")
        )
        self.addSection(self.tr("Table of keypoints"))
        self.add_switch(
            "raw", self.tr("Ra&w keypoints"), self.tr("Also where each keypoint was found, before smoothing")
        )
        self.add_switch(
            "keep_empty", self.tr("Rows for &empty frames"), self.tr("A row, too, for frames without people")
        )
        self.add_switch(
            "long", self.tr("&One row per keypoint"), self.tr("Instead of one row per person and frame")
        )

    def apply_ticks(self, options: TakeOptions) -> TakeOptions:
        """Return options with what is ticked."""
        on = {name: switch.isChecked() for name, switch in self.switches.items()}
        return replace(
            options,
            annotated_video=on["annotated_video"],
            clean_video=on["clean_video"],
            raw=on["raw"],
            keep_empty=on["keep_empty"],
            long=on["long"],
        )

    def tick(self, options: TakeOptions) -> None:
        """Show options; emits nothing."""
        for name, switch in self.switches.items():
            switch.setChecked(getattr(options, name))


class FolderButton(FocusButton):
    """Shows a folder, shortened in the middle to the room there is; the tooltip has all of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = ""
        self.setIcon(icon("folder"))
        self.setIconSize(QSize(ICON_PX, ICON_PX))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setFixedHeight(SMALL_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Folder for takes"))

    def set_folder(self, folder: Path) -> None:
        """Show a folder, with the home folder as ~."""
        home = Path.home()
        self._path = f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)
        self.setToolTip(self.tr("Takes are written to {0}; choose another folder").format(folder))
        self.setAccessibleDescription(str(folder))
        self.updateGeometry()
        self._elide()

    def sizeHint(self) -> QSize:
        """Room for the whole path, within reason."""
        wanted = self.fontMetrics().horizontalAdvance(self._path) + ICON_PX + 20
        return QSize(min(wanted, 176), SMALL_HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Room for the icon."""
        return QSize(SMALL_HEIGHT, SMALL_HEIGHT)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten the path to the new width."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.width() - ICON_PX - 14
        text = self.fontMetrics().elidedText(self._path, Qt.TextElideMode.ElideMiddle, room)
        # Not "…" alone: beside an icon it says nothing.
        self.setText(text.replace("&", "&&") if len(text) > 4 else "")


class ElidedLabel(QLabel):
    """A line of text, shortened at its end to the room there is; the tooltip has all of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    @property
    def words(self) -> str:
        """All of the text."""
        return self._words

    def set_words(self, words: str) -> None:
        """Show a text."""
        if words != self._words:
            self._words = words
            self.updateGeometry()
            self._elide()

    def sizeHint(self) -> QSize:
        """Room for all of it."""
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._words) + 2, metrics.height())

    def minimumSizeHint(self) -> QSize:
        """Room for a few words."""
        return QSize(min(self.sizeHint().width(), 72), self.fontMetrics().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten the text to the new width."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        text = self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, self.width())
        self.setText(text)
        self.setToolTip(self._words if text != self._words else "")


def set_text_colour(widget: QWidget, colour: QColor) -> None:
    """Give a widget's text a colour, the rest of its palette stays the theme's."""
    palette = widget.palette()
    if palette.color(QPalette.ColorRole.WindowText) != colour:
        palette.setColor(QPalette.ColorRole.WindowText, colour)
        widget.setPalette(palette)


def format_bytes(count: int) -> str:
    """Return a size in words: 0 kB, 640 kB, 12.4 MB, 1.25 GB."""
    if count < 1_000_000:
        return QCoreApplication.translate("RecordBar", "{0} kB").format(-(-count // 1000))
    if count < 1_000_000_000:
        return QCoreApplication.translate("RecordBar", "{0} MB").format(f"{count / 1e6:.1f}")
    return QCoreApplication.translate("RecordBar", "{0} GB").format(f"{count / 1e9:.2f}")
