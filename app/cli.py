"""The `steadypose` command: what can be asked for, turned into settings and handed on.

Every import that costs time stands inside the command that needs it, so that `--version` and `--help` answer
at once. Exit codes: 0 all done; 1 some inputs failed; 2 nothing was started: wrong usage, output folder not
writable, model or runtime not usable; 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

from pathlib import Path
from typing import Annotated

import typer

from app import options
from app.console import configure_logging, make_console, say
from app.models_cli import models_cli
from app.reported import check_verbosity, reported
from engine import __version__
from engine.errors import UsageError

cli = typer.Typer(
    name="steadypose",
    epilog=(
        "Exit codes: 0 all done; 1 some inputs failed, each named; 2 nothing was started: wrong usage, "
        "output folder not writable, model or runtime not usable; 130 stopped by Ctrl-C; 143 by SIGTERM."
    ),
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(models_cli, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"steadypose {__version__}")
        raise typer.Exit


@cli.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Follow people through videos and live pictures; write down where every keypoint was, when, and whose.

    Without a command the desktop app opens.
    """
    if context.invoked_subcommand is None:
        open_app(None)


@reported
def open_app(source: str | None) -> None:
    """Open the window and leave with its exit code."""
    configure_logging(make_console(), 0)
    try:
        from app.desktop.application import run_app
    except ImportError as error:
        raise UsageError(
            f"the window needs PySide6, which cannot be loaded here ({error}); on a bare Linux system "
            "install libegl1, libgl1 and libxkbcommon0, or use `steadypose track`"
        ) from error
    raise typer.Exit(run_app(source))


@cli.command("app")
def desktop_app(source: options.AppSource = None) -> None:
    """Open the desktop app, with SOURCE at once where one is given."""
    open_app(source)


@cli.command(no_args_is_help=True)
@reported
def live(
    source: options.LiveSource,
    out: options.Out,
    seconds: options.Seconds = None,
    video: options.Video = False,
    clean_video: options.CleanVideo = False,
    raw: options.Raw = False,
    keep_empty: options.KeepEmpty = False,
    long: options.Long = False,
    mode: options.ModeChoice = "auto",
    top_down_model: options.TopDownModel = "default-top-down",
    bottom_up_model: options.BottomUpModel = "default-bottom-up",
    runtime: options.RuntimeChoice = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = 0,
    smoothing: options.Smoothing = "kalman",
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Record people from a camera or a stream without a window, until Ctrl-C or for --seconds.

    Writes a numbered take into DIR; where the source is lost, the take is closed and the next one begins when
    it is back.
    """
    from app.live import run_live
    from app.takes import TakeOptions
    from engine.pipeline import build_settings

    console, verbosity = make_console(), check_verbosity(quiet, verbose)
    configure_logging(console, verbosity)
    settings = build_settings(
        {
            "mode": mode,
            "top_down_model": top_down_model,
            "bottom_up_model": bottom_up_model,
            "runtime": runtime,
            "precision": precision,
            "threads": threads,
            "smoothing": {"method": smoothing},
        }
    )
    take = TakeOptions(
        folder=out,
        name="",
        annotated_video=video,
        clean_video=clean_video,
        raw=raw,
        keep_empty=keep_empty,
        long=long,
    )
    raise typer.Exit(run_live(source, settings, take, console, seconds=seconds, quiet=quiet))


@cli.command(no_args_is_help=True)
@reported
def track(
    inputs: options.Inputs,
    out: options.Out,
    video: options.Video = False,
    raw: options.Raw = False,
    keep_empty: options.KeepEmpty = False,
    long: options.Long = False,
    formats: options.Formats = None,
    plots: options.Plots = False,
    mode: options.ModeChoice = "auto",
    top_down_model: options.TopDownModel = "default-top-down",
    bottom_up_model: options.BottomUpModel = "default-bottom-up",
    runtime: options.RuntimeChoice = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = 0,
    find_interval: options.FindInterval = None,
    smoothing: options.Smoothing = "kalman",
    offline: options.Offline = False,
    fill_gap: options.FillGap = None,
    min_track: options.MinTrack = None,
    fps: options.Fps = 30.0,
    stills: options.Stills = False,
    decoder: options.Decoder = "software",
    max_people: options.MaxPeople = None,
    jobs: options.Jobs = 0,
    resume: options.Resume = False,
    ray: options.Ray = "",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Track people in files: writes CLIP.csv, CLIP.json and, with --video, CLIP.tracked.mp4 for each.

    Other formats and the report of --plots lie beside them. --offline writes live rows first and smooths them
    once more when the last frame is known; docs/smoothing.md says what that gains.

    Inputs whose results would have the same name are refused, the others done. Of several inputs
    steadypose-batch.csv tells what came of each. Ctrl-C finishes the row at hand and closes the files; after
    that, or a crash, the same command with --resume does what is left.
    """
    from app.batch import BatchOptions, run_batch
    from app.recording import WriteOptions
    from engine.pipeline import build_settings
    from engine.sinks.formats import parse_formats

    console, verbosity = make_console(), check_verbosity(quiet, verbose)
    configure_logging(console, verbosity)
    names = tuple(name for name in parse_formats(formats or []) if name != "csv")
    if plots:
        from app.report.canvas import check_plots

        check_plots()
    twice = {"fill_gap_s": fill_gap, "min_track_s": min_track}
    given = {name: value for name, value in twice.items() if value is not None}
    if given and not offline:
        raise UsageError("--fill-gap and --min-track are for the second pass; add --offline")
    settings = build_settings(
        {
            "mode": mode,
            "top_down_model": top_down_model,
            "bottom_up_model": bottom_up_model,
            "runtime": runtime,
            "precision": precision,
            "threads": threads,
            "find_interval_s": find_interval,
            "smoothing": {"method": smoothing, **given},
            **({} if max_people is None else {"max_people": max_people}),
        }
    )
    batch = BatchOptions(
        settings=settings,
        out=out,
        ray=ray,
        video=video,
        fps=fps,
        stills=stills,
        decoder=decoder,
        jobs=jobs,
        resume=resume,
        plots=plots,
        write=WriteOptions(
            raw=raw,
            keep_empty=keep_empty,
            long=long,
            overwrite=overwrite,
            formats=names,
            offline=offline,
        ),
    )
    raise typer.Exit(run_batch(inputs, batch, console, verbosity))


@cli.command()
@reported
def demo(
    out: options.DemoOut = Path("steadypose-demo"),
    video: options.DemoVideo = True,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Track the bundled clip, write its results and compare them with the clip's exact truth."""
    from app.demo import run_demo

    console, verbosity = make_console(), check_verbosity(quiet, verbose)
    configure_logging(console, verbosity)
    raise typer.Exit(run_demo(out, video=video, console=console, verbosity=verbosity))


@cli.command(no_args_is_help=True)
@reported
def convert(
    results: options.Results,
    out: options.Out,
    formats: options.Formats = None,
    track: options.Tracks = None,
    px_per_metre: options.PxPerMetre = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Write results in other formats; docs/formats.md says what each holds and what opens it."""
    from app.convert import run_convert

    console = make_console()
    configure_logging(console, check_verbosity(quiet, verbose))
    code = run_convert(
        results,
        formats or [],
        out,
        console,
        tracks=track or [],
        px_per_metre=px_per_metre,
        overwrite=overwrite,
        quiet=quiet,
    )
    raise typer.Exit(code)


@cli.command(no_args_is_help=True)
@reported
def report(
    results: options.Results,
    out: options.ReportOut = None,
    scale_points: options.ScalePoints = None,
    height: options.BodyHeight = None,
    facing: options.FacingChoice = "auto",
    plots: options.Plots = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Sum up each person of written results: CLIP.people.csv and CLIP.angles.csv; with --plots also pictures.

    docs/angles.md defines every angle, speed and distance, and the scale with its error.
    """
    from app.report.command import run_report
    from app.report.content import ReportOptions, choose_scale

    console = make_console()
    configure_logging(console, check_verbosity(quiet, verbose))
    chosen = ReportOptions(scale=choose_scale(scale_points, height), facing=facing, plots=plots)
    raise typer.Exit(run_report(results, chosen, console, out=out, overwrite=overwrite, quiet=quiet))


@cli.command()
@reported
def doctor(json: options.JsonOnStdout = False) -> None:
    """Look at this machine: what is installed, what runs, what is missing and how to get it."""
    from app.diagnosis import print_doctor

    raise typer.Exit(print_doctor(as_json=json))


@cli.command()
@reported
def bench(
    what: options.BenchSubject = "path",
    json: options.JsonFile = None,
    top_down_model: options.TopDownModel = "default-top-down",
    bottom_up_model: options.BottomUpModel = "default-bottom-up",
    runtime: options.RuntimeChoice = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = 0,
    soak: options.Soak = None,
    window: options.Window = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Measure each stage and the whole path on the bundled clip, and the errors against the clip's truth.

    With gpu, every stage and the whole on the NVIDIA GPU, for each runtime and precision that is not left to
    auto, beside what its memory and its arithmetic allow at best. With smoothing, jitter, error and lag of
    every way of smoothing, on simulated walkers and on the clip.
    """
    from engine.pipeline import build_settings

    console = make_console()
    configure_logging(console, check_verbosity(quiet, verbose))
    if sum((what != "path", window, soak is not None)) > 1:
        raise UsageError("gpu, smoothing, --window and --soak exclude each other; give one of them")
    if what == "path" and (runtime, precision) != ("auto", "auto"):
        raise UsageError("--runtime and --precision are for gpu and smoothing; here every one is measured")
    named = {"top_down_model": top_down_model, "bottom_up_model": bottom_up_model, "threads": threads}
    settings = build_settings(named | {"runtime": runtime, "precision": precision}).estimator
    if what == "gpu":
        from app.bench.gpu import run_gpu_bench

        run_gpu_bench(settings, json_path=json, console=console)
    elif what == "smoothing":
        from app.bench.smoothing import run_smoothing_bench

        run_smoothing_bench(settings, json_path=json, console=console)
    elif window:
        from app.bench.window import run_window_bench

        run_window_bench(settings, json_path=json, console=console)
    elif soak is not None:
        from app.bench.soak import run_soak

        run_soak(soak, settings, json_path=json, console=console)
    else:
        from app.bench.report import run_bench

        run_bench(settings, json_path=json, console=console)


@cli.command("evaluate-tracks", no_args_is_help=True)
@reported
def evaluate_tracks(
    results: options.TrackResults,
    truth: options.TrackTruth,
    similarity: options.Similarity = "oks",
    first_frame: options.FirstFrame = 0,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Measure results against the truth: HOTA, MOTA, IDF1, switches, fragments, error, jitter and lag.

    One recording and one truth belong together whatever they are called, those of folders by their names.
    """
    from app.evaluate_tracks import run_evaluate_tracks

    console = make_console()
    configure_logging(console, check_verbosity(quiet, verbose))
    code = run_evaluate_tracks(
        results, truth, console, similarity=similarity, first_frame=first_frame, json_path=json
    )
    raise typer.Exit(code)
