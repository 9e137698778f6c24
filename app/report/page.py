"""The page of a report: one HTML file that holds everything, pictures included, and loads nothing."""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from app.report.canvas import person_colour
from app.report.content import Report
from engine.metrics.people import PersonSummary
from engine.tracking.angles import ANGLES

_CSS = """
:root { color-scheme: light; --ink: #1f2430; --faint: #667085; --rule: #e3e7ed; --paper: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { margin: 0 0 4px; font-size: 28px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 18px; }
p { margin: 8px 0; max-width: 78ch; }
.lead, figcaption, .note { color: var(--faint); }
section { margin-top: 24px; padding: 22px 24px; background: #fff; border: 1px solid var(--rule);
  border-radius: 10px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 24px; }
.tile { padding: 14px 16px; background: #fff; border: 1px solid var(--rule); border-radius: 10px; }
.tile b { display: block; font-size: 22px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--faint); font-size: 13px; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th { color: var(--faint); font-weight: 600; font-size: 12.5px; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tbody tr:last-child td, tbody tr:last-child th { border-bottom: 0; }
tbody th { color: var(--ink); font-size: 14px; }
.dot { display: inline-block; width: 12px; height: 12px; margin-right: 8px; border: 1px solid #3a4150;
  border-radius: 50%; vertical-align: -1px; }
figure { margin: 0 0 18px; } figure:last-child { margin-bottom: 0; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { margin-top: 6px; font-size: 13.5px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
.warning { margin-top: 16px; padding: 10px 14px; background: #fff6e0; border: 1px solid #e9c46a;
  border-radius: 8px; }
@media print { body { background: #fff; } main { max-width: none; padding: 0; }
  section, .tile { border-color: #ccc; } figure, tr { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot on the page: heading of its section, words in its place, a line below it, and the PNG."""

    heading: str
    alternative: str
    caption: str
    png: bytes


def build_page(report: Report, pictures: Sequence[Picture], warnings: Sequence[str]) -> str:
    """Return the HTML of a report.

    Args:
        report: everybody is in its tables.
        pictures: in order; those of one heading follow each other.
        warnings: sentences for the top.
    """
    name = report.results.sidecar.source.name
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="lead">{escape(_lead(report))}</p>',
        *(f'<p class="warning">{escape(warning)}</p>' for warning in warnings),
        _tiles(report),
        _section("People", _people_table(report) + _people_note(report)),
        *_picture_sections(pictures),
        _section("Ranges of joint angles", _range_table(report)),
        _section("How it was measured", _method(report)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}: SteadyPose report</title>\n<style>{_CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(parts)}\n</main>\n</body>\n</html>\n"
    )


def _lead(report: Report) -> str:
    sidecar = report.results.sidecar
    source = sidecar.source
    facts = [f"{source.width} x {source.height} px"]
    facts += [f"{source.fps:.4g} frames/s"] if source.fps else []
    facts.append(f"tracked {sidecar.created:%Y-%m-%d} with SteadyPose {sidecar.software_version}")
    return ", ".join(facts)


def _tiles(report: Report) -> str:
    together = report.results.sidecar.most_people
    tiles = {
        "people told apart": str(len(report.people)),
        "at once, at most": str(together),
        "of recording": _seconds(report.end_s - report.start_s),
        "frames": str(report.results.sidecar.frames_read),
    }
    cells = (f'<div class="tile"><b>{escape(b)}</b><span>{escape(a)}</span></div>' for a, b in tiles.items())
    return f'<div class="tiles">{"".join(cells)}</div>'


def _people_table(report: Report) -> str:
    unit = report.unit
    headers = [
        "person", "seen (s)", "first (s)", "last (s)", f"distance ({unit})", f"mean speed ({unit}/s)",
        f"peak speed ({unit}/s)", "measured", "filled", "predicted", "missing",
    ]  # fmt: skip
    return _table(headers, [_people_row(report, person) for person in report.summaries])


def _people_row(report: Report, person: PersonSummary) -> list[str]:
    lengths = (person.distance_px, person.mean_speed, person.peak_speed)
    shares = (person.measured, person.filled, person.predicted, person.missing)
    return [
        _who(report, person.track_id),
        *(_number(value, 2) for value in (person.visible_s, person.first_s, person.last_s)),
        *(_number(value * report.metre, 2 if report.scale else 0) for value in lengths),
        *(f"{100 * share:.1f} %" for share in shares),
    ]


def _people_note(report: Report) -> str:
    if not report.people:
        return '<p class="note">Nobody was found in this recording.</p>'
    if report.scale:
        text = (
            f"1 m is {1 / report.scale.metres_per_px:.1f} px: {report.scale.source}. The relative error is "
            f"about {100 * report.scale.error:.1f} %, and more for whoever is nearer to the camera or "
            "further away."
        )
    else:
        text = "Lengths are pixels; a scale of two points or a body height turns them into metres."
    return f'<p class="note">{escape(text)}</p>'


def _range_table(report: Report) -> str:
    names = [name for name in ANGLES if any(name in person.ranges for person in report.summaries)]
    if not names:
        return '<p class="note">No joint angle is known.</p>'
    rows = [
        [_who(report, person.track_id), *(_range(person.ranges[name]) for name in names)]
        for person in report.summaries
    ]
    note = (
        '<p class="note">Inside angles in degrees, least to greatest. 180 is straight; at a shoulder, 0 is '
        f"a hanging arm. All others are in {escape(report.results.name)}.people.csv.</p>"
    )
    return _table(["person", *(name.replace("_", " ") for name in names)], rows) + note


def _range(values: tuple[float, float, float]) -> str:
    least, greatest, _ = values
    return "" if math.isnan(least) else f"{least:.0f} to {greatest:.0f}"


def _picture_sections(pictures: Sequence[Picture]) -> list[str]:
    by_heading: dict[str, list[str]] = {}
    for picture in pictures:
        data = b64encode(picture.png).decode("ascii")
        caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
        image = f'<img alt="{escape(picture.alternative)}" src="data:image/png;base64,{data}">'
        by_heading.setdefault(picture.heading, []).append(f"<figure>{image}{caption}</figure>")
    return [_section(heading, "\n".join(figures)) for heading, figures in by_heading.items()]


def _method(report: Report) -> str:
    sidecar = report.results.sidecar
    models = [f"{model.get('name')} ({model.get('runtime')})" for model in sidecar.models]
    tracker = sidecar.settings.get("tracker")
    smoothing = tracker.get("smoothing") if isinstance(tracker, Mapping) else None
    method = smoothing.get("method") if isinstance(smoothing, Mapping) else None
    facts = {
        "Source": sidecar.source.name,
        "Data": report.results.path.name,
        "Models": ", ".join(models),
        "Smoothing": "offline, in two passes" if sidecar.offline else str(method or ""),
    }
    rows = (f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in facts.items() if b)
    texts = (
        "Place, distance and speed are those of the middle of the hips in the picture. A speed is the mean "
        "over 0.2 seconds. A path is measured with a ruler of 2 % of the person's height, so that standing "
        "still has no length; what happens while somebody is not seen counts neither as path nor as time.",
        "Angles are angles of the picture: a limb that points towards the camera is foreshortened. Only "
        "keypoints that were seen, or filled in between, count. Flexion is known for people who walk across "
        "the picture, or whose direction was given.",
    )
    return f"<dl>{''.join(rows)}</dl>" + "".join(f'<p class="note">{escape(text)}</p>' for text in texts)


def _section(heading: str, body: str) -> str:
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first cell of each row is HTML already."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headers)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table></div>"
    )


def _who(report: Report, track_id: int) -> str:
    dot = f'<span class="dot" style="background:{person_colour(track_id)}"></span>'
    return dot + escape(report.label(track_id))


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
