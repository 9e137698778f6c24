"""The `steadypose` command: what can be asked for, turned into settings and handed on.

Every import that costs time stands inside the command that needs it, so that `--version` and `--help` answer
at once. Exit codes: 0 all done; 1 some inputs failed; 2 nothing was started: wrong usage, output folder not
writable, model or runtime not usable; 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from app import options
from app.console import configure_logging, make_console, say
from engine import __version__
from engine.errors import SteadyPoseError, UsageError

USAGE = 2
Parameters = ParamSpec("Parameters")
LOGGER = logging.getLogger(__name__)

cli = typer.Typer(
    name="steadypose",
    epilog=(
        "Exit codes: 0 all done; 1 some inputs failed, each named; 2 nothing was started: wrong usage, "
        "output folder not writable, model or runtime not usable; 130 stopped by Ctrl-C; 143 by SIGTERM."
    ),
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_cli = typer.Typer(
    help="List the models that can be named, show one, download published ones, remove them.",
    no_args_is_help=True,
)
cli.add_typer(models_cli, name="models")


def reported(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Make a command print an error that is the user's to mend as one line and leave with exit code 2."""

    @functools.wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except SteadyPoseError as error:
            LOGGER.debug("nothing was started", exc_info=True)
            make_console().print(f"error: {error}")
            raise typer.Exit(USAGE) from None

    return run


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

    console, verbosity = make_console(), _verbosity(quiet, verbose)
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
    mode: options.ModeChoice = "auto",
    top_down_model: options.TopDownModel = "default-top-down",
    bottom_up_model: options.BottomUpModel = "default-bottom-up",
    runtime: options.RuntimeChoice = "auto",
    precision: options.PrecisionChoice = "auto",
    threads: options.Threads = 0,
    find_interval: options.FindInterval = None,
    smoothing: options.Smoothing = "kalman",
    fps: options.Fps = 30.0,
    stills: options.Stills = False,
    max_people: options.MaxPeople = 30,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Track people in files: writes CLIP.csv, CLIP.json and, with --video, CLIP.tracked.mp4 for each.

    Inputs whose results would have the same name are refused before anything starts. Ctrl-C finishes the row
    at hand and closes the files: what was computed stays.
    """
    from app.batch import BatchOptions, run_batch
    from app.recording import WriteOptions
    from engine.pipeline import build_settings

    console, verbosity = make_console(), _verbosity(quiet, verbose)
    configure_logging(console, verbosity)
    settings = build_settings(
        {
            "mode": mode,
            "top_down_model": top_down_model,
            "bottom_up_model": bottom_up_model,
            "runtime": runtime,
            "precision": precision,
            "threads": threads,
            "find_interval_s": find_interval,
            "max_people": max_people,
            "smoothing": {"method": smoothing},
        }
    )
    batch = BatchOptions(
        settings=settings,
        out=out,
        video=video,
        fps=fps,
        stills=stills,
        write=WriteOptions(raw=raw, keep_empty=keep_empty, long=long, overwrite=overwrite),
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

    console, verbosity = make_console(), _verbosity(quiet, verbose)
    configure_logging(console, verbosity)
    raise typer.Exit(run_demo(out, video=video, console=console, verbosity=verbosity))


@models_cli.command("list")
@reported
def models_list(json: options.JsonOnStdout = False) -> None:
    """List the models: bundled, downloaded, and published ones that can be downloaded."""
    from app.reports import print_models

    configure_logging(make_console(), 0)
    print_models(as_json=json)


@models_cli.command("info", no_args_is_help=True)
@reported
def models_info(name: options.ModelName, json: options.JsonOnStdout = False) -> None:
    """Show what is known of one model."""
    from app.reports import print_model

    print_model(name, as_json=json)


@models_cli.command("download", no_args_is_help=True)
@reported
def models_download(
    names: options.PublishedNames,
    source: options.CheckpointFile = None,
    keep_checkpoint: options.KeepCheckpoint = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Download published models and convert them; a download that was stopped goes on where it was.

    STEADYPOSE_DATA_DIR says where they go, STEADYPOSE_MODEL_STORE the address of a mirror of the store.
    """
    from app.models import download_models

    console = make_console()
    configure_logging(console, _verbosity(quiet, verbose))
    code = download_models(names, source=source, keep=keep_checkpoint, console=console, quiet=quiet)
    raise typer.Exit(code)


@models_cli.command("remove", no_args_is_help=True)
@reported
def models_remove(names: options.DownloadedNames) -> None:
    """Delete downloaded models; bundled ones stay."""
    from app.models import remove_models

    remove_models(names)


@cli.command()
@reported
def doctor(json: options.JsonOnStdout = False) -> None:
    """Look at this machine: what is installed, what runs, what is missing and how to get it."""
    from app.diagnosis import print_doctor

    raise typer.Exit(print_doctor(as_json=json))


@cli.command()
@reported
def bench(
    json: options.JsonFile = None,
    top_down_model: options.TopDownModel = "default-top-down",
    bottom_up_model: options.BottomUpModel = "default-bottom-up",
    threads: options.Threads = 0,
    soak: options.Soak = None,
    window: options.Window = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Measure each stage and the whole path on the bundled clip, and the errors against the clip's truth."""
    from engine.pipeline import build_settings

    console = make_console()
    configure_logging(console, _verbosity(quiet, verbose))
    named = {"top_down_model": top_down_model, "bottom_up_model": bottom_up_model, "threads": threads}
    settings = build_settings(named).estimator
    if window:
        from app.bench.window import run_window_bench

        run_window_bench(settings, json_path=json, console=console)
    elif soak is not None:
        from app.bench.soak import run_soak

        run_soak(soak, settings, json_path=json, console=console)
    else:
        from app.bench.report import run_bench

        run_bench(settings, json_path=json, console=console)


def _verbosity(quiet: bool, verbose: int) -> int:
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; give one of them")
    return -1 if quiet else verbose
