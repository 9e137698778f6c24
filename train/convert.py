"""From a published checkpoint to a model file: weights, ONNX, description, and a check against torch.

`steadypose models download` runs this module as a process of its own, since only `train` knows torch:
``python -m train.convert CHECKPOINT OUT --entry JSON``; ``python -m train convert`` is for files at hand.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from assets import demo_clip
from engine.errors import ModelFileError, SinkError, SteadyPoseError, UsageError
from engine.model_file import ModelSpec, file_sha256
from engine.prepare import crop_people, letterbox
from engine.sources import open_source
from engine.zoo_catalogue import CATALOGUE, PublishedModel
from train.checkpoint import load_weights
from train.export import PARITY_TOLERANCE, TrainedNetwork, export_onnx, wrap_published
from train.models import build_model

log = logging.getLogger(__name__)


def find_published(name: str) -> PublishedModel:
    """Return a row of the catalogue.

    Raises:
        UsageError: no published model is called so.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = get_close_matches(name, CATALOGUE, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`steadypose models list` shows all"
    raise UsageError(f"no published model is called {name!r}; {hint}")


def convert_like(
    checkpoint: Path, out: Path, like: str, *, licence: str = "unknown", training_data: str = "unknown"
) -> float:
    """Write the model file of a checkpoint at hand that is built and decoded like a published one.

    The published checkpoint itself keeps its name, figures and terms; any other is called after `out`, with
    the terms given and without figures, since those published are of other weights.

    Args:
        checkpoint: weights, for example of deep-high-resolution-net, HigherHRNet or MMPose.
        out: ONNX file, written atomically.
        like: name in `engine.zoo_catalogue.CATALOGUE`.
        licence: of other weights.
        training_data: what other weights have seen.

    Returns:
        See `convert`, as for what it raises.

    Raises:
        UsageError: no published model is called so.
    """
    entry = find_published(like)
    if not checkpoint.is_file():
        raise ModelFileError(f"checkpoint {checkpoint} does not exist; give the path of a .pth file")
    published = bool(entry.sha256_prefix) and file_sha256(checkpoint).startswith(entry.sha256_prefix)
    if not published:
        own = {"name": out.stem, "accuracy": {}, "licence": licence, "training_data": training_data}
        entry = entry.model_copy(update=own)
    return convert(checkpoint, out, entry)


def convert(checkpoint: Path, out: Path, entry: PublishedModel) -> float:
    """Write the model file of a published checkpoint.

    The file is compared with torch on noise and on a picture of the demo clip before it gets its name.

    Args:
        checkpoint: weights in any dialect that `train.checkpoint.load_weights` reads.
        out: ONNX file, written atomically.
        entry: what the weights are: name, architecture, skeleton, size, targets, figures and terms.

    Returns:
        The largest difference between torch and ONNX Runtime, see `train.export.torch_difference`.

    Raises:
        ModelFileError: the checkpoint is missing or damaged, does not fit the architecture, or the exported
            file differs from torch; `out` is as it was.
        SinkError: `out` cannot be written.
        UsageError: `out` is no ``.onnx`` file.
    """
    if out.suffix != ".onnx":
        raise UsageError(f"the model file must end in .onnx, got {out}")
    spec = entry.spec(checkpoint_sha256="")
    network = build_model(entry.architecture, keypoints=spec.skeleton.count, **entry.architecture_options)
    report = load_weights(checkpoint, network, part="all")
    log.info("%s: %d tensors for %s", checkpoint.name, report.loaded, entry.architecture)
    spec = spec.model_copy(update={"checkpoint_sha256": file_sha256(checkpoint)})
    trained = wrap_published(network, spec)
    draft = out.with_name(f".{out.stem}.{os.getpid()}.onnx")
    try:
        difference = max(export_onnx(trained, draft), picture_difference(trained, draft))
        if difference > PARITY_TOLERANCE:
            raise ModelFileError(
                f"the file made of {checkpoint} differs from torch by {difference:.2g} on a picture of the "
                "demo clip; nothing was written"
            )
        os.replace(draft, out)
    except OSError as error:
        raise SinkError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        for left in (draft, draft.with_suffix(".part")):
            left.unlink(missing_ok=True)
    return difference


def picture_difference(trained: TrainedNetwork, path: Path) -> float:
    """Return the largest difference of any output between torch and ONNX Runtime on the demo's first frame.

    The difference is absolute, and relative to an output's greatest value where that is above one.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = demo_input(trained.spec)
    expected = trained.run(inputs)
    got = session.run(list(expected), {trained.spec.input_name: inputs})
    return max(
        float(np.abs(maps - other).max()) / max(1.0, float(np.abs(maps).max()))
        for maps, other in zip(expected.values(), got, strict=True)
    )


def demo_input(spec: ModelSpec) -> NDArray[np.float32]:
    """Return the demo clip's first frame as the model's input: whole, or cropped as if it were a person."""
    with open_source(demo_clip()) as source:
        image = next(iter(source)).image
    if spec.kind == "bottom-up":
        return letterbox(image, spec)[0]
    height, width = image.shape[:2]
    return crop_people(image, [[width * 0.3, 0, width * 0.7, height]], spec)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert as the command line asks; return 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m train.convert", description=main.__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--entry", required=True, help="row of the catalogue, as JSON")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        convert(asked.checkpoint, asked.out, PublishedModel.model_validate_json(asked.entry))
    except (SteadyPoseError, ValidationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
