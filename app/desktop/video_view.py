"""The stage: the video with its people painted over it, picking people, drawing a region of interest.

The newest result is kept and painted when the window system next asks; a result's people are only ever
painted on the frame that it carries. The view knows nothing of what its signals do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QToolButton, QWidget

from app.desktop.icons import icon
from app.desktop.overlay import (
    Attention,
    OverlayOptions,
    paint_heatmap,
    paint_people,
    paint_trails,
    shown_people,
)
from app.desktop.stage_colours import GROUND
from app.desktop.stage_frame import FramePainter, as_picture
from app.desktop.stage_mapping import StageMap, Zoom, fit_scale
from app.desktop.stage_picking import person_at
from app.desktop.stage_region import Region, paint_band, paint_region, region_of
from app.desktop.stage_widget import StageWidget
from app.desktop.trails import Trails
from engine.live_values import LiveResult
from engine.skeleton import Skeleton

Tool = Literal["select", "region"]

FOLLOW_S = 0.25
"""Time constant with which a zoomed view glides after who is followed, seconds of source time."""


@dataclass(slots=True)
class _Drag:
    """A button held down. kind: `press` until the mouse moves, then `pan`; `band` draws a region."""

    kind: Literal["press", "pan", "band"]
    button: Qt.MouseButton
    start: QPointF
    last: QPointF


class VideoView(StageWidget):
    """Shows results; see the methods for what can be changed and the signals for what users do."""

    painted = Signal()
    """A result has been painted for the first time; it is `painted_result`."""
    person_clicked = Signal(int)
    """Track id."""
    background_clicked = Signal()
    """A click where nobody is."""
    person_menu_requested = Signal(int, QPoint)
    """Track id and where to open the menu, in global coordinates."""
    region_drawn = Signal(object)
    """xyxy tuple in frame px; the view does not show it until told so by `set_region`."""
    region_cleared = Signal()
    """The button at the region's corner was pressed."""
    region_cancelled = Signal()
    """Escape with the region tool and no rubber band: the user wants the other tool back."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._live: LiveResult | None = None
        self._skeleton: Skeleton | None = None
        self._painted_result: LiveResult | None = None
        self._options = OverlayOptions()
        self._attention = Attention()
        self._trails = Trails(self._options.trail_s, self._options.trail_of)
        self._frame_painter = FramePainter()
        self._region: Region | None = None
        self._tool: Tool = "select"
        self._drag: _Drag | None = None
        self._mouse: QPointF | None = None
        self._clear_button = self._make_clear_button()
        self.setAccessibleName(self.tr("Video"))
        self.setAccessibleDescription(
            self.tr(
                "The video with the people in it. Plus and minus zoom, zero fits the video into the window. "
                "Click a person to choose them, right-click for more."
            )
        )

    def _make_clear_button(self) -> QToolButton:
        button = QToolButton(self)
        button.setIcon(icon("close"))
        button.setIconSize(QSize(16, 16))
        button.setFixedSize(24, 24)
        button.setToolTip(self.tr("Clear the region"))
        button.setAccessibleName(self.tr("Clear the region"))
        button.setCursor(Qt.CursorShape.ArrowCursor)
        button.clicked.connect(self.region_cleared)
        button.hide()
        return button

    def show_result(self, live: LiveResult, skeleton: Skeleton) -> None:
        """Show a result with the people of a skeleton; the one before it is let go."""
        frame = live.result.frame
        size, before = frame.image.shape[:2], self._live
        if self._frame_size is not None and self._frame_size != size:
            self._zoom = Zoom()
        if skeleton != self._skeleton:
            self._trails.clear()
        self._live, self._skeleton, self._frame_size = live, skeleton, (size[0], size[1])
        self._trails.add(live.result.people, skeleton, frame.time_s)
        self._glide(0.0 if before is None else frame.time_s - before.result.frame.time_s)
        self.lay_out()
        self._point()

    def clear(self) -> None:
        """Show nothing, and forget trails and zoom."""
        self._live = self._skeleton = self._painted_result = self._frame_size = self._drag = None
        self._zoom = Zoom()
        self._trails.clear()
        self.lay_out()
        self._point()

    @property
    def painted_result(self) -> LiveResult | None:
        """The result that was painted last, None before the first."""
        return self._painted_result

    @property
    def options(self) -> OverlayOptions:
        """What is painted over the video."""
        return self._options

    def set_options(self, options: OverlayOptions) -> None:
        """Change what is painted over the video."""
        self._options = options
        self._trails.change(options.trail_s, options.trail_of)
        self.update()

    def set_people(self, names: Mapping[int, str], ignored: frozenset[int], followed: int | None) -> None:
        """Tell whom the user has named, ignores (they are not painted) and follows, by track id."""
        self._attention = replace(self._attention, names=dict(names), ignored=ignored, followed=followed)
        self._point()
        self.update()

    def set_region(self, region: Region | None) -> None:
        """Show a region of interest, xyxy in frame px, or none."""
        self._region = region
        self.lay_out()

    def set_tool(self, tool: Tool) -> None:
        """Choose what dragging does: move the zoomed video, or draw a region."""
        self._tool, self._drag = tool, None
        self._point()
        self.update()

    def snapshot(self) -> QImage:
        """Return the frame at its own size with heatmap, trails and people as shown, never mirrored.

        Returns:
            The picture; a null one where nothing is shown.
        """
        if self._live is None:
            return QImage()
        pixels = np.ascontiguousarray(self._live.result.frame.image)
        image = as_picture(pixels).convertToFormat(QImage.Format.Format_RGB32)
        place = StageMap(1.0, 0.0, 0.0, image.width(), image.height())
        unit = max(1.0, 1 / fit_scale((place.height, place.width), self.view_size))
        with QPainter(image) as painter:
            painter.setFont(self.font())
            self._paint_overlay(painter, place, replace(self._attention, hovered=None), unit)
        return image

    def lay_out(self) -> None:
        """Find anew where the frame and the region's button lie, and ask to be painted."""
        super().lay_out()
        place, region = self._place, self._region
        self._clear_button.setVisible(place is not None and region is not None)
        if place is not None and region is not None:
            inside = _view_rect(place, region).intersected(QRectF(self.rect()))
            corner = inside.topRight().toPoint() + QPoint(-self._clear_button.width() - 8, 8)
            free = self.rect().adjusted(0, 0, -self._clear_button.width(), -self._clear_button.height())
            x = max(free.left(), min(corner.x(), free.right()))
            self._clear_button.move(x, max(free.top(), min(corner.y(), free.bottom())))

    def _glide(self, passed_s: float) -> None:
        """Move a zoomed view towards who is followed, unless the user is moving it."""
        if self._zoom.scale is None or self._place is None or self._live is None or self._drag is not None:
            return
        for person in self._live.result.people:
            if person.track_id == self._attention.followed and math.isfinite(float(person.bbox.sum())):
                share = 1 - math.exp(-passed_s / FOLLOW_S) if 0 <= passed_s < 1 else 1.0
                x, y = self._zoom.centre or self._place.to_frame(self.width() / 2, self.height() / 2)
                to_x, to_y = person.bbox.reshape(2, 2).mean(axis=0).tolist()
                self._zoom = replace(self._zoom, centre=(x + share * (to_x - x), y + share * (to_y - y)))

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground, the frame and everything over it."""
        live, place = self._live, self._place
        # A painter that an exception leaves open takes the process with it.
        with QPainter(self) as painter:
            painter.fillRect(event.rect(), GROUND)
            if live is not None and place is not None:
                self._paint_stage(painter, live, place)
        if live is not None and live is not self._painted_result:
            self._painted_result = live
            self.painted.emit()

    def _paint_stage(self, painter: QPainter, live: LiveResult, place: StageMap) -> None:
        image, ratio = live.result.frame.image, self.devicePixelRatioF()
        self._frame_painter.paint(painter, image, place, self.view_size, ratio)
        frame = QRectF(*place.bounds)
        painter.setClipRect(frame)
        if self._region is not None:
            paint_region(painter, _view_rect(place, self._region), frame)
        self._paint_overlay(painter, place, self._attention)
        if self._drag is not None and self._drag.kind == "band":
            _paint_band(painter, place, self._drag, frame)

    def _paint_overlay(
        self, painter: QPainter, place: StageMap, attention: Attention, unit: float = 1.0
    ) -> None:
        if self._live is None or self._skeleton is None:
            return
        result, options = self._live.result, self._options
        if options.heatmap and result.heatmap is not None:
            paint_heatmap(painter, result.heatmap, place)
        if options.trails:
            paint_trails(painter, self._trails.paths(), options, place, attention=attention, unit=unit)
        paint_people(painter, result.people, self._skeleton, options, place, attention=attention, unit=unit)

    # Mouse and keyboard

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a click, a pan or a rubber band."""
        at, button = event.position(), event.button()
        if self._place is None or self._drag is not None:
            return
        if button == Qt.MouseButton.MiddleButton:
            self._drag = _Drag("pan", button, at, at)
        elif button == Qt.MouseButton.LeftButton:
            self._drag = _Drag("band" if self._tool == "region" else "press", button, at, at)
        self._point()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what the button began, or light up who is pointed at."""
        self._mouse, drag = event.position(), self._drag
        if drag is not None:
            step, drag.last = self._mouse - drag.last, self._mouse
            far = (self._mouse - drag.start).manhattanLength() >= QApplication.startDragDistance()
            if drag.kind == "press" and far:
                drag.kind, step = "pan", self._mouse - drag.start
            if drag.kind == "pan":
                self.pan(step)
            self.update()
        self._point()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Tell what was clicked or drawn."""
        if self._drag is not None and self._drag.button != event.button():
            return
        drag, self._drag = self._drag, None
        self._mouse = event.position()
        self.update()
        if drag is not None and self._place is not None and drag.kind == "press":
            track_id = self._person_at(drag.start)
            if track_id is None:
                self.background_clicked.emit()
            else:
                self.person_clicked.emit(track_id)
        elif drag is not None and self._place is not None and drag.kind == "band":
            region = region_of(self._place, drag.start, event.position())
            if region is not None:
                self.region_drawn.emit(region)
        self._point()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Fit the frame."""
        if event.button() == Qt.MouseButton.LeftButton and self._tool == "select":
            self.fit()

    def leaveEvent(self, event: QEvent) -> None:
        """Light up nobody."""
        super().leaveEvent(event)
        self._mouse = None
        self._point()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu of the person under the mouse, or by keyboard of who is followed."""
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        track_id = self._person_at(QPointF(event.pos())) if by_mouse else self._attention.followed
        if track_id is None:
            event.ignore()
            return
        self.person_menu_requested.emit(track_id, event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Cancel the rubber band, or the region tool, with Escape; zoom as every stage does."""
        if event.key() != Qt.Key.Key_Escape or self._tool != "region":
            super().keyPressEvent(event)
        elif self._drag is not None:
            self._drag = None
            self.update()
        else:
            self.region_cancelled.emit()

    def changeEvent(self, event: QEvent) -> None:
        """Paint anew in another look."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self.update()

    def _person_at(self, at: QPointF) -> int | None:
        if self._live is None or self._skeleton is None or self._place is None:
            return None
        shown = shown_people(self._live.result.people, self._attention)
        return person_at(shown, self._skeleton, self._place, at.x(), at.y())

    def _point(self) -> None:
        """Light up who is under the mouse, and show what a press of its button would do."""
        free = self._tool == "select" and self._drag is None and self._mouse is not None
        hovered = self._person_at(self._mouse) if free and self._mouse is not None else None
        if hovered != self._attention.hovered:
            self._attention = replace(self._attention, hovered=hovered)
            self.update()
        if self._tool == "region":
            self.setCursor(Qt.CursorShape.CrossCursor)
        elif self._drag is not None and self._drag.kind == "pan":
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        else:
            self.setCursor(
                Qt.CursorShape.ArrowCursor if hovered is None else Qt.CursorShape.PointingHandCursor
            )


def _view_rect(place: StageMap, region: Region) -> QRectF:
    return QRectF(*place.box_to_view(np.array(region)))


def _paint_band(painter: QPainter, place: StageMap, drag: _Drag, frame: QRectF) -> None:
    region = region_of(place, drag.start, drag.last)
    if region is not None:
        text = f"{region[2] - region[0]:.0f} × {region[3] - region[1]:.0f}"
        paint_band(painter, QRectF(drag.start, drag.last).normalized(), frame, text)
