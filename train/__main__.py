"""``python -m train``: fit, evaluate, export, quantize, convert, benchmark, show, check."""

import json
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from engine.errors import SteadyPoseError, UsageError
from engine.model_file import read_spec
from engine.settings import Precision, RuntimeName
from engine.skeleton import open_skeleton
from engine.stopping import RunStopped
from train.config_file import load_settings
from train.protocols import Decoder, Protocol
from train.settings import DataFormat

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, export and judge pose networks.",
)

data_app = typer.Typer(help="Look at labelled data.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Device = Literal["auto", "cpu", "cuda"]
TrainPrecision = Literal["fp32", "bf16", "fp16"]
Config = Annotated[Path, typer.Argument(help="YAML file of the run, see train/configs.")]
Overrides = Annotated[Optional[list[str]], typer.Option("--set", help="key=value, over the YAML file.")]  # noqa: UP045


@app.command()
def fit(config: Config, overrides: Overrides = None) -> None:
    """Train a network; a run that was stopped goes on where it was."""
    from train.trainer import fit as run

    folder = run(load_settings(config, tuple(overrides or ())))
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first speaks
        print(folder)


@app.command()
def summary(config: Config, overrides: Overrides = None) -> None:
    """Show a run's network part by part, what it costs, and the plan of its stages."""
    from train.summary import format_summary, summarise

    print(format_summary(summarise(load_settings(config, tuple(overrides or ())))))


@app.command()
def show(
    config: Config,
    out: Annotated[Path, typer.Option(help="Folder for the PNG files.")],
    count: Annotated[int, typer.Option(min=1, help="Samples on a sheet.")] = 16,
    overrides: Overrides = None,
) -> None:
    """Draw augmented samples and their targets, to see that they are what was meant."""
    from train.data.show import show_samples

    for path in show_samples(load_settings(config, tuple(overrides or ())), out, count):
        print(path)


@app.command()
def curves(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option(help="SVG file to write.")] = Path("curves.svg"),
) -> None:
    """Draw the losses, the learning rate and the validation of a run."""
    from train.curves import draw_curves

    print(draw_curves(run, out))


@app.command()
def benchmark(
    networks: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Names, with options as in hourglass:stacks=2; default: all."),
    ] = None,
    batch: Annotated[Optional[int], typer.Option(min=1, help="Samples per batch.")] = None,  # noqa: UP045
    size: Annotated[Optional[str], typer.Option(help="HEIGHTxWIDTH; default: the papers'.")] = None,  # noqa: UP045
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = "auto",
    precision: Annotated[TrainPrecision, typer.Option(help="Arithmetic of the forward pass.")] = "fp32",
    steps: Annotated[int, typer.Option(min=2, help="Timed runs.")] = 10,
    threads: Annotated[int, typer.Option(min=0, help="Threads of torch, 0 for all cores.")] = 0,
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all figures here.")] = None,  # noqa: UP045
) -> None:
    """Time networks on the present device: forward and forward-backward, parameters, multiply-adds."""
    import torch

    from train import benchmark as bench

    if threads:
        torch.set_num_threads(threads)
    place = bench.choose_device(device)
    print(bench.describe_device(place), file=sys.stderr)
    speeds = []
    for speed in bench.benchmark(
        networks or (),
        batch=batch,
        input_size=parse_size(size) if size else None,
        device=device,
        precision=precision,
        steps=steps,
    ):
        print(f"{speed.name}: forward {speed.forward.mean_ms:.1f} ms", file=sys.stderr)
        speeds.append(speed)
    if json_file is not None:
        bench.write_json(speeds, place, precision, json_file)
    print(bench.format_table(speeds))


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Published weights, .pth or .safetensors.")],
    out: Annotated[Path, typer.Argument(help="ONNX model file to write.")],
    like: Annotated[str, typer.Option(help="Published model that they are built like.")],
    licence: Annotated[str, typer.Option(help="Of weights that are not the published ones.")] = "unknown",
    training_data: Annotated[str, typer.Option(help="What such weights have seen.")] = "unknown",
) -> None:
    """Make a model file of a published checkpoint, or of one that is built like it."""
    from train.convert import convert_like

    difference = convert_like(checkpoint, out, like, licence=licence, training_data=training_data)
    print(f"{out}: {out.stat().st_size} bytes, {difference:.2g} from torch")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="best.pt, last.pt or final.pt of a run.")],
    out: Annotated[Path, typer.Argument(help="ONNX model file to write.")],
    licence: str = "Apache-2.0",
    training_data: Annotated[
        str, typer.Option(help="What the weights have seen, for the model's record.")
    ] = "",
    input_size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH; default: of the last stage.")] = None,
    metrics: Annotated[Optional[Path], typer.Option(help="JSON of `evaluate`, kept as accuracy.")] = None,  # noqa: UP045
) -> None:
    """Write a model file from a checkpoint and compare it with torch."""
    from train.export import export_onnx, load_trained

    trained, settings = load_trained(checkpoint)
    update: dict[str, object] = {"licence": licence}
    if training_data:
        update["training_data"] = training_data
    if input_size:
        update["input_size"] = parse_size(input_size)
    if metrics:
        figures = json.loads(metrics.read_text(encoding="utf-8"))
        update["accuracy"] = {name: round(figures[name], 4) for name in ("mean_oks", "ap", "ap50", "ar")}
    difference = export_onnx(trained, out, trained.spec.model_copy(update=update))
    print(f"{out}: {settings.architecture}, {out.stat().st_size} bytes, {difference:.2g} from torch")


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="Float model file.")],
    out: Annotated[Path, typer.Argument(help="INT8 model file to write.")],
    annotations: Annotated[Path, typer.Option(help="COCO keypoint JSON to calibrate with.")],
    images: Annotated[Path, typer.Option(help="Folder of its pictures.")],
    count: Annotated[int, typer.Option(min=1, help="How many inputs to calibrate with.")] = 200,
) -> None:
    """Write the INT8 form of a model file for OpenVINO and ONNX Runtime."""
    from train.data.coco import load_coco
    from train.quantize import calibration_inputs, quantize_model

    spec = read_spec(model)
    inputs = calibration_inputs(load_coco(annotations, images, spec.skeleton), spec, count=count)
    difference = quantize_model(model, out, inputs)
    print(f"{out}: {out.stat().st_size} bytes, heatmaps {difference:.1%} from the float model")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="ONNX file, zoo name, or checkpoint.")],
    annotations: Annotated[Path, typer.Option(help="Labels; see --format.")],
    images: Annotated[Path, typer.Option(help="Folder of their pictures.")],
    data_format: Annotated[DataFormat, typer.Option("--format", help="How the labels are written.")] = "coco",
    split: Annotated[Optional[Path], typer.Option(help="JSON of image ids by side.")] = None,  # noqa: UP045
    side: Annotated[str, typer.Option(help="Side of the split to judge on.")] = "val",
    source: Annotated[Optional[str], typer.Option(help="Only images with this `source`.")] = None,  # noqa: UP045
    protocol: Annotated[
        Optional[Protocol],  # noqa: UP045
        typer.Option(help="Whose figures to add; default: that of the model's skeleton."),
    ] = None,
    boxes: Annotated[str, typer.Option(help="truth, finder, or a COCO detection JSON.")] = "truth",
    finder: Annotated[str, typer.Option(help="Bottom-up model for --boxes finder.")] = "default-bottom-up",
    config: Annotated[Optional[Path], typer.Option(help="Settings of a checkpoint without any.")] = None,  # noqa: UP045
    min_keypoints: Annotated[int, typer.Option(min=1, help="Judge only people with this many labels.")] = 1,
    min_height: Annotated[float, typer.Option(min=0, help="Judge only people this high, px.")] = 0.0,
    min_visibility: Annotated[int, typer.Option(min=1, max=2, help="Only labels of this COCO v count.")] = 1,
    flip_test: Annotated[bool, typer.Option(help="Average with the mirrored input.")] = False,
    scales: Annotated[str, typer.Option(help="Bottom-up: sizes to look at, such as 0.5,1,2.")] = "1",
    decoder: Annotated[
        Decoder, typer.Option(help="Bottom-up: as it ships, or as papers measure.")
    ] = "engine",
    runtime: Annotated[RuntimeName, typer.Option(help="Which library runs a model file.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Arithmetic of a model file.")] = "auto",
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all figures here.")] = None,  # noqa: UP045
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write tables, curves and pictures to this .html or .md file."),
    ] = None,
) -> None:
    """Judge a model on labelled pictures: OKS, AP, AR, PCK of every keypoint, kinds of mistakes."""
    from train.data.sources import load_labels
    from train.evaluate import Selection, open_network, predict, summarise
    from train.protocols.pairing import drop_labels
    from train.report import describe_figures, write_report
    from train.settings import DataSource

    network = open_network(model, config, runtime=runtime, precision=precision)
    needs_finder = network.spec.kind == "top-down" and boxes == "finder"
    data = DataSource(
        format=data_format, annotations=annotations, images=images, split=split, min_teacher_agreement=0.0
    )
    labels = load_labels(data, network.spec.skeleton, side=side)
    if source is not None:
        labels = [label for label in labels if label.source == source]
    predictions = predict(
        network,
        drop_labels(labels, min_visibility),
        boxes=boxes,
        finder=open_network(finder, runtime=runtime, precision=precision) if needs_finder else None,
        flip_test=flip_test,
        scales=parse_scales(scales),
        decoder=decoder,
    )
    selection = Selection(min_keypoints, min_height)
    figures = summarise(predictions, network.spec.skeleton, selection, protocol=protocol)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if report is not None:
        command = shlex.join(["python", "-m", "train", *sys.argv[1:]])
        write_report(report, figures, predictions, network.spec, selection, command=command)
    print(describe_figures(figures))


@app.command()
def synthesize(
    bodies: Annotated[Path, typer.Option(help="Folder of bodies, garments and motions.")],
    backgrounds: Annotated[Path, typer.Option(help="Folder of equirectangular panoramas.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    count: Annotated[int, typer.Option(min=1, help="How many training pictures.")] = 2000,
    close_ups: Annotated[
        float, typer.Option(min=0, max=1, help="Share of heads and upper bodies, as before a webcam.")
    ] = 0.0,
    demo: Annotated[bool, typer.Option("--demo", help="Render the demo clip and its truth instead.")] = False,
    seed: int = 0,
) -> None:
    """Render people with exact keypoints: a training set, or the demo clip."""
    from train.data.synthetic import render_demo, synthesize_training_set

    if demo:
        out.mkdir(parents=True, exist_ok=True)
        render_demo(bodies, backgrounds, out / "demo.mp4", out / "demo_truth.csv", seed=seed)
    else:
        synthesize_training_set(bodies, backgrounds, out, count=count, seed=seed, close_ups=close_ups)
    print(out)


@data_app.command("check")
def check_data_sets(
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="YAML file of a run; or give --annotations and --images."),
    ] = None,
    data_format: Annotated[DataFormat, typer.Option("--format", help="How the labels are written.")] = "coco",
    annotations: Annotated[Optional[Path], typer.Option(help="JSON, folder of JSON, or CSV.")] = None,  # noqa: UP045
    images: Annotated[Optional[Path], typer.Option(help="Folder of its pictures.")] = None,  # noqa: UP045
    skeleton: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Name or YAML file; default: the format's own."),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Decode every picture.")] = True,
    every: Annotated[bool, typer.Option("--all", help="List every finding, not 20 of a kind.")] = False,
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all findings here.")] = None,  # noqa: UP045
) -> None:
    """List broken pictures, boxes outside, impossible labels, left/right suspicions; exit code 1: errors."""
    from rich.console import Console
    from rich.progress import Progress

    from train.data.check import check_data, format_report, report_as_json
    from train.data.sources import USUAL_SKELETONS
    from train.settings import DataSource

    if config is not None:
        settings = load_settings(config)
        sources = [*settings.data, *([settings.validation] if settings.validation else [])]
        skeleton = skeleton or settings.skeleton
    elif annotations is None or images is None:
        raise UsageError("give the YAML file of a run, or --annotations and --images")
    else:
        sources = [DataSource(format=data_format, annotations=annotations, images=images)]
        if skeleton is None and data_format not in USUAL_SKELETONS:
            raise UsageError("the folder format needs --skeleton, a name or a YAML file")
        skeleton = skeleton or USUAL_SKELETONS[data_format].name
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("pictures", total=None)
        report = check_data(
            sources,
            open_skeleton(skeleton),
            read_pictures=pictures,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json_file is not None:
        json_file.write_text(report_as_json(report), encoding="utf-8")
    print(format_report(report, per_kind=None if every else 20))
    raise typer.Exit(report.exit_code)


def parse_scales(text: str) -> tuple[float, ...]:
    """Read positive numbers between commas."""
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or min(scales) <= 0:
        raise UsageError(f"scales are positive numbers between commas, such as 0.5,1,2, got {text!r}")
    return scales


def parse_size(text: str) -> tuple[int, int]:
    """Read ``HEIGHTxWIDTH``; both must be multiples of 32."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 and int(part) % 32 == 0 for part in parts):
        raise UsageError(f"a size is HEIGHTxWIDTH in multiples of 32, such as 256x192, got {text!r}")
    return int(parts[0]), int(parts[1])


def main() -> None:
    """Run a command; the user's errors end in one line and exit code 2 or 1, a stop in 128 + the signal."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunStopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except SteadyPoseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
