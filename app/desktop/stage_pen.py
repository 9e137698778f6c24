"""How thick one person is painted: everything grows with the person as seen in the view."""

import math
from dataclasses import dataclass

from PySide6.QtGui import QColor

from app.desktop.stage_colours import OverlayPalette, person_colour
from app.desktop.stage_mapping import StageMap
from engine.structures import TrackedPerson


@dataclass(frozen=True, slots=True)
class Pen:
    """Sizes of one person's painting, view px.

    limb: width; radius: of a keypoint; rim: width of dark outlines; text: height of the id's font; size:
    side of a square as large as the person's box; unit: view px that look like one on the screen.
    """

    colour: QColor
    limb: float
    radius: float
    rim: float
    text: int
    size: float
    unit: float


def choose_pen(
    person: TrackedPerson,
    place: StageMap,
    *,
    palette: OverlayPalette = "colour-blind",
    line_scale: float = 1.0,
    unit: float = 1.0,
) -> Pen:
    """Return sizes that suit a person as large as seen in the view.

    Args:
        person: whose box gives the size; one without a box counts as a quarter of the frame's height.
        place: where the frame lies.
        palette: `high-contrast` is a quarter thicker.
        line_scale: of widths and dots, 1 is usual.
        unit: view px that look like one on the screen, for pictures that are shown smaller than painted.
    """
    width, height = (person.bbox[2:] - person.bbox[:2]).tolist()
    area = width * height
    size = (area**0.5 if math.isfinite(area) and area > 0 else place.height / 4) * place.scale
    apparent = size / unit
    strong = 1.25 if palette == "high-contrast" else 1.0
    scale = unit * line_scale * strong
    return Pen(
        colour=person_colour(person.track_id, palette),
        limb=_within(apparent / 50, 2.0, 9.0) * scale,
        radius=_within(apparent / 55, 2.2, 9.0) * scale,
        rim=_within(apparent / 160, 1.0, 2.0) * unit * strong,
        text=round(_within(apparent / 11, 12, 22) * unit),
        size=size,
        unit=unit,
    )


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)
