"""The menu of what is written beside the CSV: one entry per format, to be ticked, sorted by who reads it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QWidget

from app.desktop.tick_menu import TickMenu
from app.desktop.translatable import QT_TRANSLATE_NOOP
from engine.errors import UsageError
from engine.sinks.formats import FORMATS, parse_formats

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """A format as people see it. name: of `engine.sinks.formats`. text, tip: to be translated."""

    name: str
    text: str
    tip: str


SECTIONS: tuple[tuple[str, tuple[FormatEntry, ...]], ...] = (
    (QT_TRANSLATE_NOOP("Formats", "Tables"), (
        FormatEntry(
            "csv-long", QT_TRANSLATE_NOOP("Formats", "CSV, one row per &keypoint"),
            QT_TRANSLATE_NOOP("Formats", "For statistics and plots that sort by keypoint: R, pandas, JASP"),
        ),
        FormatEntry(
            "parquet", QT_TRANSLATE_NOOP("Formats", "&Parquet"),
            QT_TRANSLATE_NOOP("Formats", "The columns of the CSV with their types, small and quick to read: "
                              "pandas, Polars, R, DuckDB"),
        ),
    )),
    (QT_TRANSLATE_NOOP("Formats", "Computer vision"), (
        FormatEntry(
            "coco", QT_TRANSLATE_NOOP("Formats", "&COCO keypoints"),
            QT_TRANSLATE_NOOP("Formats", "For annotation and evaluation, as annotations and as results: "
                              "CVAT, FiftyOne, pycocotools, MMPose"),
        ),
        FormatEntry(
            "posetrack", QT_TRANSLATE_NOOP("Formats", "PoseTrack&18"),
            QT_TRANSLATE_NOOP("Formats", "For the evaluation of people who are followed: poseval, MMPose"),
        ),
        FormatEntry(
            "openpose", QT_TRANSLATE_NOOP("Formats", "&OpenPose BODY_25"),
            QT_TRANSLATE_NOOP("Formats", "For whatever reads OpenPose, a file per frame: Pose2Sim, "
                              "SMPLify-X, EasyMocap"),
        ),
    )),
    (QT_TRANSLATE_NOOP("Formats", "Behaviour"), (
        FormatEntry(
            "deeplabcut", QT_TRANSLATE_NOOP("Formats", "&DeepLabCut"),
            QT_TRANSLATE_NOOP("Formats", "For the analysis of behaviour, CSV and HDF5: DeepLabCut, SimBA, "
                              "B-SOiD, movement"),
        ),
        FormatEntry(
            "sleap", QT_TRANSLATE_NOOP("Formats", "S&LEAP analysis"),
            QT_TRANSLATE_NOOP("Formats", "For the analysis of behaviour, CSV: sleap-io, movement"),
        ),
    )),
    (QT_TRANSLATE_NOOP("Formats", "Biomechanics, a file per person"), (
        FormatEntry(
            "trc", QT_TRANSLATE_NOOP("Formats", "OpenSim &markers (TRC)"),
            QT_TRANSLATE_NOOP("Formats", "Keypoints as markers, in pixels: OpenSim, Pose2Sim, Mokka"),
        ),
        FormatEntry(
            "mot", QT_TRANSLATE_NOOP("Formats", "OpenSim mo&tion (MOT)"),
            QT_TRANSLATE_NOOP("Formats", "Joint angles at even times, in degrees: OpenSim"),
        ),
        FormatEntry(
            "sto", QT_TRANSLATE_NOOP("Formats", "OpenSim &storage (STO)"),
            QT_TRANSLATE_NOOP("Formats", "Joint angles at the times of the frames, in degrees: OpenSim"),
        ),
        FormatEntry(
            "c3d", QT_TRANSLATE_NOOP("Formats", "C&3D"),
            QT_TRANSLATE_NOOP("Formats", "For programs of movement laboratories: Visual3D, Mokka, Vicon, "
                              "MATLAB"),
        ),
    )),
)  # fmt: skip
"""Title and entries of each section. The CSV itself is always written."""


class FormatMenu(TickMenu):
    """Formats to be ticked; what cannot be written here is grey, and says what has to be installed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        for title, entries in SECTIONS:
            self.addSection(QCoreApplication.translate("Formats", title))
            for entry in entries:
                self._add(entry)

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of the formats that are ticked."""
        return tuple(name for name, switch in self.switches.items() if switch.isChecked())

    def tick(self, formats: Iterable[str]) -> None:
        """Show which formats are wanted, without telling of a change; what cannot be had is left out."""
        wanted = set(formats)
        for name, switch in self.switches.items():
            switch.setChecked(name in wanted and switch.isEnabled())
        for name in sorted(wanted - set(self.formats)):
            LOGGER.warning("the format %s cannot be written here and is left out", name)

    def text_of(self, name: str) -> str:
        """Return what people call a format."""
        return self.switches[name].text().replace("&", "")

    def _add(self, entry: FormatEntry) -> None:
        text = QCoreApplication.translate("Formats", entry.text)
        switch = self.add_switch(entry.name, text, QCoreApplication.translate("Formats", entry.tip))
        try:
            parse_formats([entry.name])
        except UsageError as error:
            switch.setEnabled(False)
            # In the text too: no key and no screen reader gets at the tooltip of a grey entry.
            install = f'pip install "steadypose[{FORMATS[entry.name].extra}]"'
            switch.setText(self.tr("{0} – needs {1}").format(text, install))
            switch.setToolTip(f"{switch.toolTip()}\n{error}")
