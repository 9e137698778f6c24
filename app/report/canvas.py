"""Paper for plots: the one module that knows matplotlib. It draws into memory, and needs no display."""

import functools
import importlib.util
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from engine.errors import UsageError
from engine.sinks.drawing import track_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, RULE, OUTLINE = "#1f2430", "#667085", "#e3e7ed", "#3a4150"
DPI, COLOURS = 130, 160
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
_STYLE: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#b8c0cc",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.parse_math": False,
    # Lines of hours are drawn piece by piece, as one would be too complex for the renderer.
    "agg.path.chunksize": 20000,
}


def check_plots() -> None:
    """Refuse plots where matplotlib is not installed.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            'plots need the package matplotlib; install it with `pip install "steadypose[export]"`'
        )


def styled(draw: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Make a function draw in the style of reports, texts as they are: ``$`` begins no formula."""

    @functools.wraps(draw)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        from matplotlib import rc_context

        style: Any = dict(_STYLE)
        with rc_context(style):
            return draw(*args, **kwargs)

    return run


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """Return an empty figure, inches, and its axes row by row, which share their time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=rows * columns > 1)
    return figure, list(grid.ravel())


def to_png(figure: "Figure", *, photo: bool = False) -> bytes:
    """Return a figure as a PNG that is the same for the same data.

    Drawings get a palette, which makes the file a third as large; one that holds a photo keeps all colours.
    """
    from PIL import Image, PngImagePlugin

    stream, drawn = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="rgba", dpi=DPI)
    size = figure.canvas.get_width_height()
    picture = Image.frombytes("RGBA", size, drawn.getvalue()).convert("RGB")
    if not photo:
        picture = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        # The palette holds means of like colours; paper must be white, as the page around it is.
        palette, place = picture.getpalette() or [], 3 * picture.tobytes()[0]
        palette[place : place + 3] = (255, 255, 255)
        picture.putpalette(palette)
    written_by = PngImagePlugin.PngInfo()
    written_by.add_text("Software", "SteadyPose")
    picture.save(stream, "PNG", optimize=True, dpi=(DPI, DPI), pnginfo=written_by)
    return stream.getvalue()


def text_on(colour: str) -> str:
    """Return the colour of text that is read well on ``#rrggbb``."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 115 else "white"


def give_room(axes: "Axes", least: float) -> None:
    """Widen an axis of values to at least that span, so that rounding errors do not look like motion."""
    low, high = axes.get_ylim()
    missing = least - (high - low)
    if missing > 0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


def person_colour(track_id: int) -> str:
    """Return the colour that a person has in the window and in annotated videos too, as ``#rrggbb``."""
    blue, green, red = track_colour(track_id)
    return f"#{red:02x}{green:02x}{blue:02x}"


def outlined(width: float) -> list[Any]:
    """Return the effect that edges a line of that width, so that light colours stand out from paper."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width + 1.3, foreground=OUTLINE)]


def mark_time(axes: "Axes", start_s: float, end_s: float) -> None:
    """Label an axis of time: seconds below two minutes, else minutes, else hours."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

    length_s = max(end_s - start_s, 1e-3)
    axes.set_xlim(start_s, start_s + length_s)
    if length_s < 120:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10]))
        axes.set_xlabel("time (s)")
        return
    steps_s = (15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    step_s = next((step for step in steps_s if length_s / step <= 12), steps_s[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    hours = length_s >= 3600
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time_s, _: clock(time_s, hours=hours)))
    axes.set_xlabel("time (h:min:s)" if hours else "time (min:s)")


def clock(time_s: float, *, hours: bool) -> str:
    """Return a moment as ``m:ss`` or ``h:mm:ss``."""
    sign, whole = "-" if round(time_s) < 0 else "", abs(round(time_s))
    minutes, seconds = divmod(whole, 60)
    if not hours:
        return f"{sign}{minutes}:{seconds:02d}"
    return f"{sign}{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
