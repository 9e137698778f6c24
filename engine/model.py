"""A model in hand: its spec, its file and the runtime that holds it."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelFileError, RuntimeUnavailableError, SteadyPoseError, UsageError
from engine.model_file import ModelSpec, file_sha256, read_spec
from engine.prepare import SIZE_MULTIPLE
from engine.runtime import (
    Arithmetic,
    Progress,
    Runtime,
    auto_runtimes,
    find_kind,
    open_first,
    open_runtime,
    output_strides,
)
from engine.settings import Precision, RuntimeName
from engine.skeleton import Skeleton
from engine.zoo import model_path, variants

LOGGER = logging.getLogger(__name__)

Float = NDArray[np.float32]


class Network(Protocol):
    """What estimating needs of a network, be it a model file or one in training: a spec and a way to run."""

    @property
    def spec(self) -> ModelSpec:
        """The model's description."""

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network; see `Model.run`."""


NetworkT = TypeVar("NetworkT", bound=Network)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One opened model. path: the file that is really used; sha256: its hash."""

    spec: ModelSpec
    path: Path
    sha256: str
    runtime: Runtime

    def run(self, inputs: Float) -> dict[str, Float]:
        """Run the network.

        Args:
            inputs: (N, 3, h, w) float32, normalised as the spec says; N may be 0.

        Returns:
            Output name to (N, K, h / stride, w / stride) float32.

        Raises:
            ValueError: `inputs` has another shape or type than the spec asks for.
            ModelFileError: the network does not do what its spec says.
        """
        self._check_inputs(inputs)
        if len(inputs) == 0:
            return {name: np.zeros(shape, np.float32) for name, shape in self._output_shapes(inputs).items()}
        outputs = self.runtime.run(np.ascontiguousarray(inputs))
        for name, shape in self._output_shapes(inputs).items():
            if outputs[name].shape != shape:
                raise ModelFileError(
                    f"output {name!r} of {self.path} must have shape {shape} for skeleton "
                    f"{self.spec.skeleton.name!r}, got {outputs[name].shape}; was the model exported with "
                    "another skeleton or stride?"
                )
        return outputs

    def describe(self) -> dict[str, object]:
        """Return what a sidecar should say of this model, ready for JSON."""
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "architecture": self.spec.architecture,
            "file": self.path.name,
            "sha256": self.sha256,
            "licence": self.spec.licence,
            "training_data": self.spec.training_data,
            "skeleton": self.spec.skeleton.name,
            "input_size": list(self.spec.input_size),
            "runtime": self.runtime.name,
            "precision": self.runtime.precision,
            "device": self.runtime.device,
        }

    def close(self) -> None:
        """Free the network."""
        self.runtime.close()

    def _check_inputs(self, inputs: Float) -> None:
        size = self.spec.input_size
        wanted = f"(N, 3, {size[0]}, {size[1]})"
        if self.spec.dynamic_size:
            fits = inputs.ndim == 4 and not any(side % SIZE_MULTIPLE for side in inputs.shape[2:])
            wanted = f"(N, 3, h, w) with h and w multiples of {SIZE_MULTIPLE}"
        else:
            fits = inputs.ndim == 4 and inputs.shape[2:] == size
        if not fits or inputs.shape[1] != 3 or inputs.dtype != np.float32:
            raise ValueError(
                f"inputs of model {self.spec.name!r} must be float32 of shape {wanted}, "
                f"got {inputs.dtype} of shape {inputs.shape}"
            )

    def _output_shapes(self, inputs: Float) -> dict[str, tuple[int, ...]]:
        count, _, height, width = inputs.shape
        keypoints = self.spec.skeleton.count
        return {
            name: (count, keypoints, height // stride, width // stride)
            for name, stride in output_strides(self.spec).items()
        }


def open_model(
    name_or_path: str | Path,
    *,
    runtime: RuntimeName = "auto",
    precision: Precision = "auto",
    threads: int = 0,
    expect_kind: Literal["top-down", "bottom-up"] | None = None,
    expect_skeleton: Skeleton | None = None,
    on_progress: Progress | None = None,
) -> Model:
    """Open a model and run it once, so that a file that cannot work fails here.

    Args:
        name_or_path: zoo name, alias or path of an ONNX file.
        runtime: "auto" takes the fastest that is installed and works.
        precision: "auto" takes fp16 on NVIDIA GPUs, elsewhere the INT8 file beside the float one where there
            is one; "bf16" computes the float file in bf16.
        threads: threads of a CPU runtime, 0 for all cores.
        expect_kind: refuse another kind.
        expect_skeleton: refuse another set of keypoints.
        on_progress: is told how far a compilation for the GPU is, which can take minutes the first time.

    Raises:
        ModelFileError: unknown name; file missing, damaged, not ours, or not what is expected.
        RuntimeUnavailableError: the runtime is not installed or cannot do this here.
        UsageError: an INT8 file was named together with a float precision.
        DeviceError: the GPU that was asked for failed.
    """
    named = model_path(name_or_path)
    spec = read_spec(named)
    if expect_kind is not None and spec.kind != expect_kind:
        raise ModelFileError(f"{named} is a {spec.kind} model, but a {expect_kind} model is needed here")
    if expect_skeleton is not None and spec.skeleton.keypoints != expect_skeleton.keypoints:
        raise ModelFileError(
            f"{named} has the {spec.skeleton.count} keypoints of skeleton {spec.skeleton.name!r}, but "
            f"{expect_skeleton.name!r} with {expect_skeleton.count} keypoints is needed here"
        )

    def attempt(name: str) -> Model:
        path, file_spec, arithmetic = choose_form(named, spec, precision, name)
        opened = open_runtime(
            path, file_spec, name=name, arithmetic=arithmetic, threads=threads, on_progress=on_progress
        )
        model = Model(file_spec, path, file_sha256(path), opened)
        try:
            model.run(np.zeros((1, 3, *file_spec.input_size), np.float32))
        except SteadyPoseError:
            model.close()
            raise
        return model

    return attempt(runtime) if runtime != "auto" else open_first(auto_runtimes(), attempt)


def choose_form(
    path: Path, spec: ModelSpec, precision: Precision, runtime: str
) -> tuple[Path, ModelSpec, Arithmetic]:
    """Return the file, its spec and the arithmetic that a precision means on a runtime.

    Args:
        path: the file that was named. spec: its spec. runtime: a key of `engine.runtime.RUNTIMES`.

    Raises:
        ModelFileError: there is no INT8 form beside the file, or not of the same checkpoint.
        RuntimeUnavailableError: the runtime is unknown, or makes its forms from a float file and an INT8 file
            was named.
        UsageError: an INT8 file was named together with a float precision.
    """
    kind = find_kind(runtime)
    if spec.precision == "int8":
        if precision not in ("auto", "int8"):
            raise UsageError(f"{path} is an INT8 model and cannot run in {precision}; name the float file")
        if kind.from_float:
            raise RuntimeUnavailableError(
                f"runtime {runtime!r} makes its own forms from a float model, but {path.name} is an INT8 "
                "model for CPUs; name the float file, or choose the runtime openvino"
            )
        return path, spec, "int8"
    if precision == "auto" and kind.from_float:
        return path, spec, kind.usual
    if kind.from_float or precision not in ("auto", "int8"):
        return path, spec, "fp32" if precision == "auto" else precision
    int8_path = variants(path).get("int8")
    if int8_path is None:
        if precision == "int8":
            raise ModelFileError(
                f"{path} has no INT8 form beside it ({path.stem}.int8.onnx); "
                "make it with `python -m train quantize`, or choose precision fp32"
            )
        return path, spec, kind.usual
    int8_spec = read_spec(int8_path)
    if int8_spec.precision != "int8" or int8_spec.checkpoint_sha256 != spec.checkpoint_sha256:
        raise ModelFileError(
            f"{int8_path} was not made from the same checkpoint as {path.name}; "
            "quantise again with `python -m train quantize`, or choose precision fp32"
        )
    LOGGER.debug("precision %s takes %s", precision, int8_path.name)
    return int8_path, int8_spec, "int8"
