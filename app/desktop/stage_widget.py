"""A widget that lays out a frame in itself, with zoom and pan; what is painted is its subclass's business."""

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.desktop.stage_mapping import ZOOM_STEP, StageMap, Zoom

WHEEL_NOTCH = 120
"""Eighths of a degree."""


class StageWidget(QWidget):
    """Keeps a frame's aspect, zooms about the mouse and with plus, minus and zero."""

    zoom_changed = Signal(float)
    """Physical pixels of the display per pixel of the frame, 1 is actual size."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frame_size: tuple[int, int] | None = None
        self._zoom = Zoom()
        self._mirrored = False
        self._place: StageMap | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(160, 90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    @property
    def stage_map(self) -> StageMap | None:
        """Where the frame lies in the view, None where there is none."""
        return self._place

    @property
    def view_size(self) -> tuple[int, int]:
        """(height, width) of the widget, at least 1."""
        return max(self.height(), 1), max(self.width(), 1)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for panels on a small display."""
        return QSize(960, 540)

    def set_mirrored(self, mirrored: bool) -> None:
        """Show the video as in a mirror; texts stay readable and nothing but the view changes."""
        self._mirrored = mirrored
        self.lay_out()

    def zoom_in(self) -> None:
        """Magnify about the middle of the view."""
        self.zoom_about(ZOOM_STEP, QRectF(self.rect()).center())

    def zoom_out(self) -> None:
        """Magnify less, down to the whole frame."""
        self.zoom_about(1 / ZOOM_STEP, QRectF(self.rect()).center())

    def fit(self) -> None:
        """Show the whole frame as large as it goes."""
        self._zoom = Zoom()
        self.lay_out()

    def actual_size(self) -> None:
        """Show one pixel of the frame on one pixel of the display."""
        if self._place is not None:
            centre = self._place.to_frame(self.width() / 2, self.height() / 2)
            self._zoom = Zoom(1 / self.devicePixelRatioF(), centre)
            self.lay_out()

    def zoom_about(self, factor: float, at: QPointF) -> None:
        """Magnify such that what lies at a place of the view stays there."""
        if self._place is not None:
            self._zoom = self._zoom.about(factor, self._place, self.view_size, at.x(), at.y())
            self.lay_out()

    def pan(self, by: QPointF) -> None:
        """Move a zoomed frame by view px."""
        if self._place is not None:
            self._zoom = self._zoom.moved(self._place, self.view_size, by.x(), by.y())
            self.lay_out()

    def lay_out(self) -> None:
        """Find anew where the frame lies, and ask to be painted."""
        before, ratio = self._place, self.devicePixelRatioF()
        if self._frame_size is None:
            self._place = None
        else:
            self._place = self._zoom.place(
                self._frame_size, self.view_size, mirrored=self._mirrored, pixel_ratio=ratio
            )
            if before is None or before.scale != self._place.scale:
                self.zoom_changed.emit(self._place.scale * ratio)
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the mouse, one step a notch; smooth wheels and touch pads go in between."""
        notches = event.angleDelta().y() / WHEEL_NOTCH
        if notches:
            self.zoom_about(ZOOM_STEP**notches, event.position())
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom with plus and minus, fit with zero; all other keys are the window's."""
        keys = {
            Qt.Key.Key_Plus: self.zoom_in,
            Qt.Key.Key_Equal: self.zoom_in,
            Qt.Key.Key_Minus: self.zoom_out,
            Qt.Key.Key_0: self.fit,
        }
        action = keys.get(Qt.Key(event.key()))
        plain = not event.modifiers() & (
            Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        )
        if action is None or not plain:
            super().keyPressEvent(event)
            return
        action()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the frame out in the new size."""
        super().resizeEvent(event)
        self.lay_out()

    def event(self, event: QEvent) -> bool:
        """Lay the frame out anew when the widget comes to a display of another density."""
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self.lay_out()
        return super().event(event)
