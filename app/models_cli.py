"""`steadypose models`: the commands about models."""

import typer

from app import options
from app.console import configure_logging, make_console
from app.reported import check_verbosity, reported

models_cli = typer.Typer(
    help="List the models that can be named, show one, download, compile and remove them.",
    no_args_is_help=True,
)


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
    configure_logging(console, check_verbosity(quiet, verbose))
    code = download_models(names, source=source, keep=keep_checkpoint, console=console, quiet=quiet)
    raise typer.Exit(code)


@models_cli.command("compile", no_args_is_help=True)
@reported
def models_compile(
    name: options.ModelName,
    runtime: options.CompileRuntime = "auto",
    precision: options.CompilePrecision = "auto",
    calibration: options.CalibrationFolder = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Compile a model for the GPU ahead of its first run; what is compiled already is left alone."""
    from app.compile import compile_model

    console = make_console()
    configure_logging(console, check_verbosity(quiet, verbose))
    code = compile_model(
        name,
        runtime=runtime,
        precision=precision,
        calibration=calibration,
        force=force,
        console=console,
        quiet=quiet,
    )
    raise typer.Exit(code)


@models_cli.command("remove", no_args_is_help=True)
@reported
def models_remove(names: options.DownloadedNames) -> None:
    """Delete downloaded models; bundled ones stay."""
    from app.models import remove_models

    remove_models(names)
