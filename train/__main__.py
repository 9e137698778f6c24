"""``python -m train``: fit, export, quantize, evaluate, synthesize, summary."""

import json
import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from engine.errors import SteadyPoseError, UsageError
from engine.model_file import read_spec
from engine.settings import Precision, RuntimeName
from engine.skeleton import SKELETONS
from train.config_file import load_settings
from train.protocols import Decoder, Protocol
from train.settings import DataFormat

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, export and judge pose networks.",
)

Config = Annotated[Path, typer.Argument(help="YAML file of the run, see train/configs.")]
Overrides = Annotated[Optional[list[str]], typer.Option("--set", help="key=value, over the YAML file.")]  # noqa: UP045


@app.command()
def fit(config: Config, overrides: Overrides = None) -> None:
    """Train a network; a run that was stopped goes on where it was."""
    from train.trainer import fit as run

    print(run(load_settings(config, tuple(overrides or ()))))


@app.command()
def summary(config: Config, overrides: Overrides = None) -> None:
    """Show parameters, multiply-adds and steps of a run."""
    from train.models import build_model
    from train.models.counting import count_macs

    settings = load_settings(config, tuple(overrides or ()))
    network = build_model(settings.architecture, keypoints=SKELETONS[settings.skeleton].count)
    size = settings.stages[-1].input_size
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{settings.name}: {settings.architecture} at {size[0]}x{size[1]}")
    print(f"{parameters / 1e6:.2f} M parameters, {count_macs(network, size) / 1e9:.3f} G multiply-adds")
    for stage in settings.stages:
        print(f"{stage.steps} steps of {stage.batch} at {stage.input_size[0]}x{stage.input_size[1]}")


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
    """Run a command; the user's errors end in one line and exit code 2 or 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SteadyPoseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
