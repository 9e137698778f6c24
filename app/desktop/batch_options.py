"""The options of the batch tab: where results go, what is written, and what is done after the last frame."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.batch_item import QueueOptions
from app.desktop.batch_parts import HEIGHT, ICON, PathLabel, push_button
from app.desktop.flow_layout import FlowLayout
from app.desktop.format_menu import FormatMenu
from app.desktop.icons import icon
from app.report.canvas import check_plots
from engine.errors import UsageError

_MOST_S = 60.0
_LABEL_GAP_PX = 8


class OptionsRow(QWidget):
    """Where results go and what is written; the choices go on in another row where it is narrow.

    Signals:
        out_wanted: somebody wants to choose the folder. changed: `apply` gives other options than before.
    """

    out_wanted = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._out: Path | None = None
        self._make_boxes()
        self._make_formats()
        self._make_numbers()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._make_out_row())
        column.addLayout(self._make_choices())
        self._show_out()
        self._show_formats()

    def show_options(self, options: QueueOptions) -> None:
        """Show options without telling of a change; what cannot be had here is shown as not chosen."""
        self._out = options.out
        for box, on in (
            (self._video, options.video),
            (self._raw, options.write.raw),
            (self._plots, options.plots and self._plots.isEnabled()),
            (self._offline, options.write.offline),
            (self._skip, options.skip_done),
        ):
            box.blockSignals(True)
            box.setChecked(on)
            box.blockSignals(False)
        for field, value in (
            (self._fps, options.fps),
            (self._fill_gap, options.fill_gap_s),
            (self._min_track, options.min_track_s),
        ):
            field.blockSignals(True)
            field.setValue(value)
            field.blockSignals(False)
        self._menu.tick(options.write.formats)
        self._show_out()
        self._show_formats()
        self._show_second_pass()

    def choose_out(self, out: Path | None) -> None:
        """Put results into this folder, None beside each file, and tell of it."""
        self._out = out
        self._show_out()
        self.changed.emit()

    def apply(self, options: QueueOptions) -> QueueOptions:
        """Return options with what is chosen here."""
        write = replace(
            options.write,
            raw=self._raw.isChecked(),
            formats=self._menu.formats,
            offline=self._offline.isChecked(),
        )
        return replace(
            options,
            out=self._out,
            video=self._video.isChecked(),
            write=write,
            fps=self._fps.value(),
            plots=self._plots.isChecked(),
            skip_done=self._skip.isChecked(),
            fill_gap_s=self._fill_gap.value(),
            min_track_s=self._min_track.value(),
        )

    # --- parts -------------------------------------------------------------------------------------------

    def _make_boxes(self) -> None:
        self._video = self._box(
            self.tr("A&nnotated video"), self.tr("Write a video with the people drawn in, beside the CSV")
        )
        self._raw = self._box(
            self.tr("Ra&w keypoints"),
            self.tr("Write keypoints before smoothing too, in columns of their own"),
        )
        self._plots = self._box(
            self.tr("Plots an&d report"),
            self.tr(
                "Draw paths, speeds, joint angles and who was visible: tables, pictures, and a page with all "
                "of them"
            ),
        )
        try:
            check_plots()
        except UsageError as error:
            self._plots.setEnabled(False)
            self._plots.setToolTip(f"{self._plots.toolTip()}\n{error}")
            self._plots.setAccessibleDescription(str(error))
        self._offline = self._box(
            self.tr("Smooth a&gain with the whole recording (offline)"),
            self.tr(
                "When the last frame is known, smooth once more with all of them: steadier, without lag, and "
                "with short gaps filled"
            ),
        )
        self._skip = self._box(
            self.tr("S&kip what is done"),
            self.tr(
                "Leave alone what is complete and was made from the same content with the same settings, "
                "models and options; what was only begun is done again"
            ),
        )
        for box in (self._video, self._raw, self._plots, self._offline, self._skip):
            box.toggled.connect(lambda _on: self.changed.emit())
        self._offline.toggled.connect(lambda _on: self._show_second_pass())

    def _make_formats(self) -> None:
        self._menu = FormatMenu(self)
        self._menu.changed.connect(self._take_formats)
        self._formats = push_button(None, self.tr("E&xtra formats ({0})").format(88), "")
        # Of one width, whatever is ticked: nothing moves while the menu is open.
        self._formats.setMinimumWidth(self._formats.sizeHint().width() + ICON.width())
        self._formats.setMenu(self._menu)

    def _make_numbers(self) -> None:
        self._fps = self._number(
            self.tr(" fps"), self.tr("Frame rate of folders of images; videos have their own")
        )
        self._fps.setRange(0.1, 1000.0)
        self._fps.setDecimals(1)
        self._fill_gap = self._number(
            self.tr(" s"), self.tr("Where a keypoint is not seen for at most so long, its path is filled in")
        )
        self._min_track = self._number(self.tr(" s"), self.tr("People seen for a shorter time are left out"))
        for field in (self._fill_gap, self._min_track):
            field.setRange(0.0, _MOST_S)
            field.setSingleStep(0.1)

    def _make_out_row(self) -> QHBoxLayout:
        label = QLabel(self.tr("Results:"))
        self._path = PathLabel()
        self._choose = push_button("folder", self.tr("&Choose…"), self.tr("Choose the folder of the results"))
        self._choose.clicked.connect(self.out_wanted)
        label.setBuddy(self._choose)
        self._beside = QToolButton()
        self._beside.setIcon(icon("reset"))
        self._beside.setIconSize(ICON)
        self._beside.setFixedSize(HEIGHT, HEIGHT)
        self._beside.setAccessibleName(self.tr("Beside each file"))
        self._beside.setToolTip(self.tr("Put results beside each file again"))
        self._beside.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._beside.clicked.connect(lambda: self.choose_out(None))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self._path, 1)
        row.addWidget(self._beside)
        row.addWidget(self._choose)
        return row

    def _make_choices(self) -> FlowLayout:
        self._second_pass = [
            _labelled(self.tr("fill g&aps up to"), self._fill_gap),
            _labelled(self.tr("leave ou&t people under"), self._min_track),
        ]
        flow = FlowLayout()
        shown: list[QWidget] = [self._video, self._raw, self._formats, self._plots, self._offline]
        shown += [*self._second_pass, self._skip, _labelled(self.tr("I&mages at"), self._fps)]
        for widget in shown:
            flow.addWidget(widget)
        return flow

    def _box(self, text: str, tip: str) -> QCheckBox:
        box = QCheckBox(text)
        box.setToolTip(tip)
        return box

    def _number(self, unit: str, tip: str) -> QDoubleSpinBox:
        field = QDoubleSpinBox()
        field.setSuffix(unit)
        field.setKeyboardTracking(False)
        field.setToolTip(tip)
        field.valueChanged.connect(lambda _value: self.changed.emit())
        return field

    # --- showing -----------------------------------------------------------------------------------------

    def _take_formats(self) -> None:
        self._show_formats()
        self.changed.emit()

    def _show_formats(self) -> None:
        chosen = [self._menu.text_of(name) for name in self._menu.formats]
        none = self.tr("E&xtra formats")
        text = self.tr("E&xtra formats ({0})").format(len(chosen)) if chosen else none
        self._formats.setText(text)
        what = self.tr("Write files for other programs beside the CSV")
        self._formats.setToolTip("\n".join((what, *chosen)))
        self._formats.setAccessibleDescription(", ".join(chosen))

    def _show_second_pass(self) -> None:
        for field in self._second_pass:
            field.setVisible(self._offline.isChecked())

    def _show_out(self) -> None:
        self._path.show_text(self.tr("beside each file") if self._out is None else str(self._out))
        self._beside.setEnabled(self._out is not None)


def _labelled(text: str, field: QWidget) -> QWidget:
    """Return a field with its label before it, as one widget."""
    label = QLabel(text)
    label.setBuddy(field)
    pair = QWidget()
    row = QHBoxLayout(pair)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(_LABEL_GAP_PX)
    row.addWidget(label)
    row.addWidget(field)
    return pair
