"""Plots of an evaluation report as SVG text, for which no library is needed: a curve, bars, a divided bar."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 42
COLOURS = {
    "good": "#2a9d5c",
    "jitter": "#8bc34a",
    "inversion": "#f4b400",
    "swap": "#f57c00",
    "miss": "#d64545",
    "unfound": "#8a8a8a",
}
LINE = "#1f6feb"
FONT = 'font-family="sans-serif" font-size="11" fill="#333"'


def plot_curve(x: Sequence[float], y: Sequence[float], *, x_label: str, y_label: str) -> str:
    """Return an SVG of y in [0, 1] over x."""
    end = max(x)
    points = " ".join(f"{_across(a / end):.1f},{_up(b):.1f}" for a, b in zip(x, y, strict=True))
    ticks = [end * step / 5 for step in range(6)]
    marks = "".join(_x_tick(value / end, f"{value:.2g}") for value in ticks)
    line = f'<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="2"/>'
    return _frame(marks + line, x_label, y_label)


def plot_histogram(values: Sequence[float], *, bins: int, x_label: str, y_label: str) -> str:
    """Return an SVG of how many of the values in [0, 1] lie in each of `bins` equal steps."""
    counts = [0] * bins
    for value in values:
        counts[min(int(value * bins), bins - 1)] += 1
    most = max(max(counts), 1)
    bars = ""
    for number, count in enumerate(counts):
        left, right = _across(number / bins), _across((number + 1) / bins)
        top = _up(count / most)
        bars += (
            f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}" '
            f'height="{_up(0) - top:.1f}" fill="{LINE}"/>'
        )
        if count:
            middle = (left + right) / 2
            bars += f'<text x="{middle:.1f}" y="{top - 3:.1f}" text-anchor="middle" {FONT}>{count}</text>'
    marks = "".join(_x_tick(step / 5, f"{step / 5:.1f}") for step in range(6))
    return _frame(marks + bars, x_label, y_label, scale=False)


def plot_shares(shares: Mapping[str, float]) -> str:
    """Return an SVG of one bar divided by shares that sum up to 1, with a legend below."""
    bar, legend = "", ""
    start = 0.0
    for number, (name, share) in enumerate(shares.items()):
        left, width = _across(start), share * (WIDTH - LEFT - RIGHT)
        colour = COLOURS.get(name, LINE)
        bar += f'<rect x="{left:.1f}" y="16" width="{width:.1f}" height="34" fill="{colour}"/>'
        start += share
        x, y = LEFT + (number % 3) * 125, 76 + (number // 3) * 20
        legend += f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        legend += f'<text x="{x + 15}" y="{y}" {FONT}>{escape(name)} {share:.1%}</text>'
    return _document(bar + legend, 108)


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM - 14)


def _x_tick(share: float, text: str) -> str:
    x, y = _across(share), _up(0)
    line = f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 4}" stroke="#888"/>'
    return line + f'<text x="{x:.1f}" y="{y + 16}" text-anchor="middle" {FONT}>{text}</text>'


def _frame(content: str, x_label: str, y_label: str, *, scale: bool = True) -> str:
    left, right, base = _across(0), _across(1), _up(0)
    grid = ""
    for step in range(6 if scale else 1):
        y = _up(step / 5)
        grid += f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>'
        if scale:
            grid += f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" {FONT}>{step / 5:.1f}</text>'
    centre = (left + right) / 2
    names = f'<text x="{centre}" y="{HEIGHT - 8}" text-anchor="middle" {FONT}>{escape(x_label)}</text>'
    middle = (_up(1) + base) / 2
    names += (
        f'<text x="13" y="{middle}" text-anchor="middle" {FONT} '
        f'transform="rotate(-90 13 {middle})">{escape(y_label)}</text>'
    )
    return _document(grid + content + names, HEIGHT)


def _document(content: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}"><rect width="100%" height="100%" fill="#fff"/>{content}</svg>'
    )
