"""The curves of a run as one SVG picture, drawn from its `log.jsonl`: losses, learning rate, validation."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from engine.errors import SinkError, UsageError

PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 360, 170, 2
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 26, 24
LINE = "#1f6feb"
FONT = 'font-family="sans-serif" font-size="11" fill="#333"'
NOT_DRAWN = frozenset({"step", "validation"})

Curves = dict[str, list[tuple[int, float]]]


def draw_curves(run: Path, out: Path) -> Path:
    """Draw the curves of a run.

    Args:
        run: folder of the run, or its `log.jsonl`. out: SVG file to write.

    Returns:
        `out`.

    Raises:
        UsageError: there is no log, or nothing in it yet. SinkError: the file cannot be written.
    """
    log = run / "log.jsonl" if run.is_dir() else run
    if not log.is_file():
        raise UsageError(f"{log} does not exist; give the folder of a run of `python -m train fit`")
    curves = read_curves(log.read_text(encoding="utf-8").splitlines())
    if not curves:
        raise UsageError(f"{log} holds no figures yet; the first come after `log_every` steps")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(curves_svg(curves), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def read_curves(lines: Sequence[str]) -> Curves:
    """Return (step, value) pairs by name from the rows of a log; of a step that was run twice, the later.

    Raises:
        UsageError: a row is no JSON.
    """
    rows: list[dict] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"line {number} of the log is no JSON ({error.msg}); remove it") from error
        # A validation belongs to the row of its step; any other row of a step that is there is a second run.
        while rows and rows[-1]["step"] >= row["step"] + ("validation" in row):
            rows.pop()
        rows.append(row)
    curves: Curves = {}
    for row in rows:
        values = {name: value for name, value in row.items() if name not in NOT_DRAWN}
        values |= {f"validation {name}": value for name, value in row.get("validation", {}).items()}
        for name, value in values.items():
            curves.setdefault(name, []).append((row["step"], float(value)))
    return curves


def curves_svg(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Return one SVG with a panel for each curve, all over the same steps."""
    last = max(points[-1][0] for points in curves.values())
    panels = ""
    for number, (name, points) in enumerate(curves.items()):
        x, y = number % COLUMNS * PANEL_WIDTH, number // COLUMNS * PANEL_HEIGHT
        panels += f'<g transform="translate({x} {y})">{_panel(name, points, last)}</g>'
    width, height = COLUMNS * PANEL_WIDTH, -(-len(curves) // COLUMNS) * PANEL_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><rect width="100%" height="100%" fill="#fff"/>{panels}</svg>'
    )


def _panel(name: str, points: Sequence[tuple[int, float]], last: int) -> str:
    low, high = min(value for _, value in points), max(value for _, value in points)
    span = (high - low) or 1.0

    def across(step: float) -> float:
        return LEFT + step / last * (PANEL_WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return PANEL_HEIGHT - BOTTOM - (value - low) / span * (PANEL_HEIGHT - TOP - BOTTOM)

    drawn = f'<text x="{LEFT}" y="16" {FONT} font-weight="bold">{escape(name)}</text>'
    for value in dict.fromkeys((low, (low + high) / 2, high)):
        y = up(value)
        drawn += f'<line x1="{LEFT}" y1="{y:.1f}" x2="{PANEL_WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
        drawn += f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end" {FONT}>{value:.3g}</text>'
    for step in (0, last // 2, last):
        anchor = "end" if step == last else "middle"
        drawn += (
            f'<text x="{across(step):.1f}" y="{PANEL_HEIGHT - 8}" text-anchor="{anchor}" {FONT}>{step}</text>'
        )
    path = " ".join(f"{across(step):.1f},{up(value):.1f}" for step, value in points)
    return drawn + f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
