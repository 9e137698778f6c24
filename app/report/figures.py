"""The plots of a report: who was visible, where people went, how fast, and how their joints bent.

A person has the same colour everywhere, which is that of the window and of annotated videos. Colours repeat
after seven people, so everybody also has a name beside the line.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.report.canvas import (
    FAINT,
    INK,
    OUTLINE,
    give_room,
    mark_time,
    new_figure,
    outlined,
    person_colour,
    styled,
    text_on,
    to_png,
)
from app.report.content import Report
from engine.metrics.kinematics import stretches
from engine.metrics.people import PersonMotion
from engine.structures import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

WIDTH = 10.5
"""Of every plot, inches."""
MOST_ROWS, MOST_PEOPLE = 60, 20
"""People in the timeline, and in each other kind of plot: those who were visible longest."""
PANELS: Sequence[Sequence[tuple[str, str]]] = (
    (("elbow", "Elbow, inside angle"), ("trunk_lean", "Trunk against the vertical (+ right)")),
    (("shoulder", "Shoulder, inside angle"), ("thigh", "Thigh against the vertical (+ right)")),
    (("hip", "Hip, inside angle"), ("shank", "Shank against the vertical (+ right)")),
    (("knee", "Knee, inside angle"), ("knee_flexion", "Knee flexion (+ bent)")),
    (("hip_flexion", "Hip flexion (+ forward)"), ("shoulder_flexion", "Shoulder flexion (+ forward)")),
)
"""Rows of a person's plot of angles: what each panel shows, of both sides where there are two, and its title.

The flexion of an elbow is 180 degrees less its inside angle but for the sign, and has no panel.
"""
LEAST_DEGREES = 10.0
"""Span of an axis of angles."""
LINE = 1.7


def longest_visible(report: Report, most: int) -> list[PersonMotion]:
    """Return the people who were visible longest, by ascending id."""
    visible = {summary.track_id: summary.visible_s for summary in report.summaries}
    chosen = sorted(report.people, key=lambda person: (-visible[person.track_id], person.track_id))[:most]
    return sorted(chosen, key=lambda person: person.track_id)


@styled
def draw_timeline(report: Report) -> bytes:
    """Return the PNG of who was visible when."""
    people = longest_visible(report, MOST_ROWS)
    figure, (axes,) = new_figure(WIDTH, 1.1 + 0.36 * max(len(people), 1))
    visible = {summary.track_id: summary.visible_s for summary in report.summaries}
    step_s = report.step_s if np.isfinite(report.step_s) else 0.0
    least_s = 0.002 * (report.end_s - report.start_s)
    for row, person in enumerate(people):
        colour = person_colour(person.track_id)
        for moments, opacity in ((person.guessed, 0.3), (person.seen, 1.0)):
            bars = [
                (start_s, max(end_s - start_s + step_s, least_s))
                for start_s, end_s in _spans(person, moments)
            ]
            axes.broken_barh(
                bars, (row - 0.3, 0.6), facecolor=colour, edgecolor=OUTLINE, linewidth=0.5, alpha=opacity
            )
        axes.text(
            1.008, row, f"{visible[person.track_id]:.1f} s", transform=axes.get_yaxis_transform(),
            va="center", fontsize=8.5, color=FAINT,
        )  # fmt: skip
    axes.set_yticks(range(len(people)), [report.label(person.track_id) for person in people], color=INK)
    axes.set_ylim(max(len(people), 1) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    mark_time(axes, report.start_s, report.end_s)
    axes.set_title("Who was visible (pale: predicted, not seen)", pad=10)
    return to_png(figure)


@styled
def draw_trajectories(report: Report, background: Image | None) -> bytes:
    """Return the PNG of where people went, over a frame (H, W, 3) BGR where there is one."""
    height, width = report.results.size
    # A tall frame must not make a plot of several screens.
    across = min(WIDTH, 9.0 * width / height + 1.0)
    figure, (axes,) = new_figure(across, (across - 0.9) * height / width + 0.95)
    edges = (-0.5, width - 0.5, height - 0.5, -0.5)
    if background is not None:
        pale = 255 - (255 - background[..., ::-1].astype(np.float32)) * 0.55
        axes.imshow(pale.astype(np.uint8), extent=edges, interpolation="bilinear")
    else:
        axes.set_facecolor("#f6f7f9")
        axes.grid()
    for person in longest_visible(report, MOST_PEOPLE):
        _draw_path(axes, person, report.results.size)
    axes.set_xlim(edges[:2])
    axes.set_ylim(edges[2:])
    axes.set_aspect("equal")
    axes.set_xlabel("x (px)")
    axes.set_ylabel("y (px)")
    axes.set_title("Path of the middle of the hips (open circle: start, number: end)", pad=10)
    if report.scale:
        _draw_scale_bar(axes, width * report.metre, width, height)
    return to_png(figure, photo=background is not None)


def _draw_path(axes: "Axes", person: PersonMotion, size: tuple[int, int]) -> None:
    colour, known = person_colour(person.track_id), np.isfinite(person.places).all(axis=1)
    runs = list(stretches(known, person.times_s, gap_s=person.gap_s))
    for run in runs:
        x, y = person.places[run].T
        axes.plot(x, y, color=colour, linewidth=2.2, solid_capstyle="round", path_effects=outlined(2.2))
    if not runs:
        return
    first = person.places[runs[0][0]]
    within = known & (person.places >= 0).all(axis=1) & (person.places < (size[1], size[0])).all(axis=1)
    last = person.places[np.flatnonzero(within)[-1] if within.any() else runs[-1][-1]]
    axes.plot(*first, "o", markersize=7, markerfacecolor="white", markeredgecolor=OUTLINE, zorder=4)
    axes.plot(*first, "o", markersize=5, markerfacecolor="white", markeredgecolor=colour, zorder=5)
    axes.annotate(
        str(person.track_id), last, ha="center", va="center", fontsize=8.5, fontweight="bold",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": OUTLINE, "linewidth": 0.8},
        color=text_on(colour), zorder=6, annotation_clip=True,
    )  # fmt: skip


def _draw_scale_bar(axes: "Axes", width_m: float, width: int, height: int) -> None:
    """Draw a bar of a round length, about a sixth of the frame, into the lower left corner."""
    rounds = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]
    metres = max((length for length in rounds if length <= width_m / 5), default=rounds[0])
    left, length, y = 0.03 * width, metres / width_m * width, 0.955 * height
    axes.plot([left, left + length], [y, y], color="white", linewidth=5, solid_capstyle="butt", zorder=7)
    axes.plot([left, left + length], [y, y], color=INK, linewidth=2.5, solid_capstyle="butt", zorder=8)
    label = axes.text(left + length / 2, y - 0.018 * height, f"{metres:g} m", ha="center", zorder=8)
    label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5})


@styled
def draw_speeds(report: Report) -> bytes:
    """Return the PNG of the speed of each person through time."""
    people = longest_visible(report, MOST_PEOPLE)
    rows = max(len(people), 1)
    each = 2.6 if rows == 1 else 1.5 if rows <= 4 else 1.05
    figure, panels = new_figure(WIDTH, 0.9 + each * rows, rows)
    summaries = {summary.track_id: summary for summary in report.summaries}
    known = np.concatenate([person.speeds for person in people]) if people else np.empty(0)
    top = np.nanmax(known) * report.metre if np.isfinite(known).any() else 1.0
    for person, axes in zip(people, panels):
        summary = summaries[person.track_id]
        _draw_line(axes, person, person.speeds * report.metre, person_colour(person.track_id))
        if np.isfinite(summary.mean_speed):
            mean, peak = summary.mean_speed * report.metre, summary.peak_speed * report.metre
            seen_s = (summary.first_s, summary.last_s)
            axes.plot(seen_s, (mean, mean), color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=3)
            text = f"mean {_say(mean, report)}, peak {_say(peak, report)} {report.unit}/s"
            axes.set_title(text, loc="right", fontsize=8.5, fontweight="normal", color=FAINT)
        axes.set_title(report.label(person.track_id))
    for axes in panels:
        axes.set_ylim(0, max(top, 1e-9) * 1.08)
        axes.grid()
        axes.locator_params(axis="y", nbins=4)
        axes.set_ylabel(f"{report.unit}/s")
        mark_time(axes, report.start_s, report.end_s)
        axes.label_outer()
    figure.suptitle("Speed of the middle of the hips", x=0.01, ha="left", fontsize=10, fontweight="bold")
    return to_png(figure)


@styled
def draw_angles(report: Report, person: PersonMotion) -> bytes | None:
    """Return the PNG of one person's angles through time, None where none is known."""
    rows = [[(title, _known_angles(person, what)) for what, title in row] for row in PANELS]
    rows = [row for row in rows if any(names for _, names in row)]
    if not rows:
        return None
    figure, panels = new_figure(WIDTH, 1.0 + 1.55 * len(rows), len(rows), 2)
    for (title, names), axes in zip((panel for row in rows for panel in row), panels):
        for name in names:
            right = name.startswith("right_")
            colour = OUTLINE if right else person_colour(person.track_id)
            _draw_line(axes, person, person.angles[name], colour, dashed=right)
        axes.set_title(title, fontsize=9.5)
        axes.set_ylabel("degrees" if names else "")
        axes.grid()
        axes.locator_params(axis="y", nbins=5)
        axes.margins(y=0.08)
        give_room(axes, LEAST_DEGREES)
        mark_time(axes, float(person.times_s[0]), float(person.times_s[-1]))
        if not names:
            reason = "not known: no walking across the picture" if "flexion" in title else "not known"
            axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=FAINT)
            axes.set_yticks([])
    for axes in panels[:-2]:
        axes.set_xlabel("")
    heading = f"{report.label(person.track_id)} (colour: left side and trunk, dashed: right side)"
    figure.suptitle(heading, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return to_png(figure)


def _known_angles(person: PersonMotion, what: str) -> list[str]:
    """Return the names of an angle of both sides, or of the trunk, that are known at some moment."""
    names = [what, f"left_{what}", f"right_{what}"]
    return [name for name in names if name in person.angles and np.isfinite(person.angles[name]).any()]


def _draw_line(
    axes: "Axes", person: PersonMotion, values: Array, colour: str, *, dashed: bool = False
) -> None:
    """Draw values through time, with nothing over gaps, and a dot for what stands alone."""
    for run in stretches(np.isfinite(values), person.times_s, gap_s=person.gap_s):
        times_s, part = person.times_s[run], values[run]
        if run.size == 1:
            axes.plot(
                times_s, part, "o", markersize=4, color=colour, markeredgecolor=OUTLINE, markeredgewidth=0.6
            )
        elif dashed:
            axes.plot(times_s, part, color=colour, linewidth=1.2, linestyle=(0, (4, 1.6)), zorder=2.5)
        else:
            axes.plot(times_s, part, color=colour, linewidth=LINE, path_effects=outlined(LINE))


def _spans(person: PersonMotion, moments: NDArray[np.bool_]) -> Iterator[tuple[float, float]]:
    for run in stretches(moments, person.times_s, gap_s=person.gap_s):
        yield float(person.times_s[run[0]]), float(person.times_s[run[-1]])


def _say(speed: float, report: Report) -> str:
    return f"{speed:.2f}" if report.scale else f"{speed:.0f}"
