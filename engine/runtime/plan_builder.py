"""From a float model file to a plan: typed network, parser, profile, build; and the plan from the cache.

Networks of TensorRT 11 and TensorRT-RTX are always strongly typed: the arithmetic is that of the tensors in
the ONNX, which `typed_network` and `quantized_network` write.
"""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from engine.cuda.device import DeviceInfo
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.model_file import ModelSpec, file_sha256
from engine.runtime import Arithmetic, output_strides
from engine.runtime.build_progress import BuildProgress, OnProgress, run_cancellable
from engine.runtime.calibration import Calibration
from engine.runtime.plan_cache import (
    PlanKey,
    StoredPlan,
    find_calibrations,
    find_plan,
    is_turing,
    plan_key,
    store_plan,
)
from engine.runtime.plan_shapes import PlanShapes, plan_shapes
from engine.runtime.quantized_network import quantized_network
from engine.runtime.tensorrt_package import TensorRtPackage
from engine.runtime.timing_cache import load_timings, store_timings
from engine.runtime.typed_network import load_float_network, to_float16

LOGGER = logging.getLogger(__name__)

PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION_SHARE = 0.5
"""Of the progress of an int8 build; with TensorRT-RTX both halves take seconds."""


def check_precision(package: TensorRtPackage, precision: Arithmetic, gpu: DeviceInfo | None = None) -> None:
    """Refuse arithmetic that a package cannot do, on a GPU where one is given.

    Raises:
        RuntimeUnavailableError: it cannot.
    """
    if precision not in PRECISIONS:
        raise RuntimeUnavailableError(
            f"{package.name} computes in {', '.join(PRECISIONS)} here, not {precision}; choose fp16"
        )
    if precision == "int8" and package.portable and gpu is not None and is_turing(gpu):
        raise RuntimeUnavailableError(
            f"{package.name} has no int8 on {gpu.name} (compute capability 7.5); choose fp16"
        )


def obtain_plan(
    path: Path,
    spec: ModelSpec,
    package: TensorRtPackage,
    precision: Arithmetic,
    *,
    gpu: DeviceInfo | None,
    shapes: PlanShapes | None = None,
    calibration: Calibration | None = None,
    on_progress: OnProgress | None = None,
    any_calibration: bool = False,
    force: bool = False,
) -> tuple[StoredPlan, bytes, bool]:
    """Return the plan of a float model from the cache, or build and store it.

    A plan in the cache that turns out damaged is discarded and built again. A plan that the package then
    refuses to load is for the caller to `discard` and obtain again.

    Args:
        path: float32 ONNX file.
        spec: its spec.
        package: that builds and runs the plan.
        precision: fp32, fp16 or int8.
        gpu: that the plan is for; may be None where `package.portable`.
        shapes: None takes those of `plan_shapes`.
        calibration: as in `build_plan`.
        any_calibration: an int8 plan calibrated with other pictures will do, the one asked for last.
        on_progress: called while building only.
        force: build even where the cache has it.

    Returns:
        The plan's entry, its bytes, and whether it was built just now.

    Raises:
        SourceError, UsageError: no calibration inputs can be had.
        others: as `build_plan`.
    """
    check_precision(package, precision, gpu)
    shapes = shapes or plan_shapes(spec)
    source = (calibration or Calibration()) if precision == "int8" else None
    key = plan_key(
        spec,
        file_sha256(path),
        package,
        precision,
        shapes,
        gpu=gpu,
        calibration=source.digest() if source else "",
    )
    keys = [key]
    if any_calibration and source is not None:
        keys = [replace(key, calibration=known) for known in find_calibrations(key)] + keys
    for wanted in () if force else keys:
        if (found := _read_plan(wanted)) is not None:
            if not any_calibration:
                found[0].prefer()
            return *found, False
    started_s = time.monotonic()
    data = build_plan(
        path, spec, package, precision, shapes, gpu=gpu, calibration=source, on_progress=on_progress
    )
    about: dict[str, str | float] = {"file": path.name, "seconds": round(time.monotonic() - started_s, 2)}
    if source is not None:
        about["calibration"] = source.source
    return store_plan(key, data, about), data, True


def _read_plan(key: PlanKey) -> tuple[StoredPlan, bytes] | None:
    """Return a plan of the cache and its bytes; a damaged one is discarded."""
    found = find_plan(key)
    if found is None:
        return None
    try:
        return found, found.read()
    except ModelFileError as error:
        LOGGER.warning("%s", error)
        found.discard()
        return None


def build_plan(
    path: Path,
    spec: ModelSpec,
    package: TensorRtPackage,
    precision: Arithmetic,
    shapes: PlanShapes,
    *,
    gpu: DeviceInfo | None = None,
    calibration: Calibration | None = None,
    on_progress: OnProgress | None = None,
) -> bytes:
    """Build the plan of a float model file; takes seconds with TensorRT-RTX, minutes with TensorRT.

    Inputs and outputs of an fp32 plan are float32, of fp16 and int8 plans float16, under the names that the
    spec gives.

    Args:
        path: float32 ONNX file.
        spec: its spec.
        package: that builds.
        precision: fp32 (no TF32), fp16, or int8 (fp16 where not quantised).
        shapes: inputs that the plan takes.
        gpu: that the plan is for; None is any from Ampere on, for portable plans.
        calibration: where the inputs for int8 come from; None takes the bundled clip.
        on_progress: see `build_progress.OnProgress`.

    Raises:
        ModelFileError: the file is quantised already, holds an operator that the package lacks, or does not
            fit float16.
        RuntimeUnavailableError: the package cannot do `precision`, or cannot build here (no GPU).
        DeviceError: the GPU ran out of memory or failed.
    """
    check_precision(package, precision, gpu)
    progress = BuildProgress(on_progress)
    model = make_typed_network(path, spec, precision, calibration, progress)
    progress.say(progress.share, "building the plan")
    package.errors.take()
    plan = run_cancellable(
        lambda: _serialize(model, path, spec, package, precision, shapes, gpu, progress), progress
    )
    progress.say(1.0, "done")
    return plan


def make_typed_network(
    path: Path,
    spec: ModelSpec,
    precision: Arithmetic,
    calibration: Calibration | None,
    progress: BuildProgress,
) -> onnx.ModelProto:
    """Return the network whose tensors have the types of `precision`.

    Raises:
        ModelFileError, SourceError, UsageError: see `build_plan` and `Calibration.inputs`.
    """
    progress.say(0.0, "preparing the network")
    model = load_float_network(path, spec)
    if precision == "fp32":
        return model
    if precision == "int8":
        source = calibration or Calibration()
        inputs = source.inputs(spec)
        progress.say(0.0, "calibrating")
        model = quantized_network(
            model,
            inputs,
            on_step=lambda done, total: progress.say(CALIBRATION_SHARE * done / total, "calibrating"),
        )
    return to_float16(model)


def _serialize(
    model: onnx.ModelProto,
    path: Path,
    spec: ModelSpec,
    package: TensorRtPackage,
    precision: Arithmetic,
    shapes: PlanShapes,
    gpu: DeviceInfo | None,
    progress: BuildProgress,
) -> bytes:
    """Parse and build; runs in a thread of its own, everything of the package is made and freed here."""
    module = package.module
    try:
        builder = module.Builder(package.logger)
    except TypeError as error:  # how the bindings tell that no builder could be made
        raise _unavailable(package, package.why()) from error
    network = builder.create_network(0)
    # The parser owns the weights until the plan is built.
    parser = parse_network(model, network, path, spec, package)
    config = builder.create_builder_config()
    profiles = make_profiles(builder, spec, shapes, package)
    if any(config.add_optimization_profile(profile) < 0 for profile in profiles):
        raise ModelFileError(
            f"{package.name} does not take {shapes} for {path.name}: {package.why()}; export it again"
        )
    configure(config, package, precision, gpu)
    timings = None if package.portable else load_timings(config, package, gpu)
    monitor = progress.monitor(module)
    config.progress_monitor = monitor
    memory = builder.build_serialized_network(network, config)
    del parser
    if progress.cancelled:
        return b""
    if memory is None:
        raise _build_error(package.why(), path, package, precision)
    if timings is not None:
        store_timings(config, timings)
    return bytes(memory)


def parse_network(
    model: onnx.ModelProto, network: Any, path: Path, spec: ModelSpec, package: TensorRtPackage
) -> Any:
    """Fill an INetworkDefinition and see that it has the inputs and outputs of the spec.

    Returns:
        The OnnxParser, which owns the weights: to be kept until the network is built.

    Raises:
        ModelFileError: an operator is not supported, or inputs or outputs are others.
    """
    parser = package.module.OnnxParser(network, package.logger)
    operators = sorted({node.op_type for node in model.graph.node})
    lacking = [operator for operator in operators if not parser.supports_operator(operator)]
    if lacking:
        raise ModelFileError(
            f"{path.name} holds the operator {', '.join(lacking)}, which {package.name} {package.version} "
            "does not have; export the network without it, or choose the runtime onnxruntime-cuda"
        )
    if not parser.parse(model.SerializeToString()):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        package.errors.take()
        told = "; ".join(
            f"{error.node_operator()} {error.node_name()!r}: {' '.join(error.desc().split())}"
            for error in errors
        )
        raise ModelFileError(
            f"{package.name} {package.version} cannot take the network of {path.name} ({told}); export it "
            "again, or choose the runtime onnxruntime-cuda"
        )
    outputs = {network.get_output(index).name for index in range(network.num_outputs)}
    missing = sorted(set(output_strides(spec)) - outputs)
    if network.num_inputs != 1 or network.get_input(0).name != spec.input_name or missing:
        raise ModelFileError(
            f"{path.name} must have the one input {spec.input_name!r} and the outputs "
            f"{list(output_strides(spec))}; export it again"
        )
    return parser


def make_profiles(builder: Any, spec: ModelSpec, shapes: PlanShapes, package: TensorRtPackage) -> list[Any]:
    """Return the optimisation profiles for the one input, each with the largest batch that it takes.

    TensorRT times its kernels at one shape per profile, and one crop wants others than sixty; TensorRT-RTX
    makes kernels for the shape at hand while it runs, so that one profile does.
    """
    batches = [(shapes.typical_batch, shapes.max_batch)]
    if not package.portable and shapes.typical_batch > 1:
        batches = [(1, 1), (shapes.typical_batch, shapes.typical_batch)]
        if shapes.max_batch > shapes.typical_batch:
            batches.append(((shapes.max_batch + 1) // 2, shapes.max_batch))
    profiles = []
    for typical, most in batches:
        profile = builder.create_optimization_profile()
        profile.set_shape(
            spec.input_name,
            (1, 3, *shapes.min_size),
            (typical, 3, *shapes.typical_size),
            (most, 3, *shapes.max_size),
        )
        profiles.append(profile)
    return profiles


def configure(config: Any, package: TensorRtPackage, precision: Arithmetic, gpu: DeviceInfo | None) -> None:
    """Set what the plan may do and where it runs."""
    flags = package.module.BuilderFlag
    if precision == "fp32":
        config.clear_flag(flags.TF32)
    if hasattr(flags, "REQUIRE_USER_ALLOCATION"):
        # A plan that allocates while it runs cannot be captured in a CUDA graph.
        config.set_flag(flags.REQUIRE_USER_ALLOCATION)
    previews = package.module.PreviewFeature
    if hasattr(previews, "RUNTIME_ACTIVATION_RESIZE_10_10"):
        # A context then needs the memory of its shape, not that of the largest one.
        config.set_preview_feature(previews.RUNTIME_ACTIVATION_RESIZE_10_10, True)
    if package.portable and gpu is not None and is_turing(gpu):
        config.num_compute_capabilities = 1
        config.set_compute_capability(package.module.ComputeCapability.SM75, 0)


def _build_error(why: str, path: Path, package: TensorRtPackage, precision: Arithmetic) -> Exception:
    """Tell a GPU that failed from a network that does not fit."""
    text = why.lower().replace("_", " ").replace("outofmemory", "out of memory")
    if "out of memory" in text:
        return DeviceError(
            f"the GPU's memory does not suffice to build the plan of {path.name} ({why}); close other "
            "programs that use it"
        )
    if "cuda" in text and ("driver" in text or "no cuda-capable" in text or "initialization" in text):
        return _unavailable(package, why)
    if "cuda" in text and "error" in text:
        return DeviceError(f"the GPU failed while the plan of {path.name} was built ({why}); try again")
    return ModelFileError(
        f"{package.name} {package.version} cannot build {path.name} in {precision} ({why}); choose another "
        "precision or the runtime onnxruntime-cuda"
    )


def _unavailable(package: TensorRtPackage, why: str) -> RuntimeUnavailableError:
    return RuntimeUnavailableError(
        f"{package.name} cannot build plans here: {why}; `steadypose doctor` tells what is missing"
    )
