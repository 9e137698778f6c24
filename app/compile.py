"""`steadypose models compile`: build a model's plan ahead of its first run."""

import logging
import time
from pathlib import Path
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.console import say
from engine.cuda.device import DeviceInfo
from engine.cuda.driver import driver_state, open_device
from engine.errors import ModelFileError, RuntimeUnavailableError, SinkError, UsageError
from engine.model_file import read_spec
from engine.runtime import Arithmetic
from engine.runtime.calibration import Calibration
from engine.runtime.plan_builder import obtain_plan
from engine.runtime.plan_cache import StoredPlan
from engine.runtime.tensorrt_package import PackageName, TensorRtPackage, load_package
from engine.settings import Precision
from engine.zoo import model_path, variants

LOGGER = logging.getLogger(__name__)

CompileRuntime = Literal["auto", "tensorrt", "tensorrt-rtx"]
"""What builds plans; OpenVINO and ONNX Runtime compile by themselves when they open a model."""

PLAIN_INTERVAL_S = 10.0
"""Time between plain lines where there is no terminal."""


def compile_model(
    name: str,
    *,
    runtime: CompileRuntime,
    precision: Precision,
    calibration: Path | None,
    force: bool,
    console: Console,
    quiet: bool,
) -> int:
    """Build the plan of a model unless it is there, and say where it is.

    Args:
        name: zoo name, alias or ONNX file.
        runtime: that the plan is for; auto takes TensorRT where it is installed, else TensorRT-RTX.
        precision: auto takes fp16.
        calibration: folder of pictures for int8; None takes the demo clip.
        force: build it even if it is there.
        console: for progress.
        quiet: say nothing but errors.

    Returns:
        Exit code: 0 it is there, 130 stopped by Ctrl-C.

    Raises:
        UsageError: calibration pictures for another precision than int8.
        ModelFileError: no such model, no float file of it, or it does not fit the runtime.
        RuntimeUnavailableError: the runtime is not installed or cannot do this here.
        SourceError, DeviceError: the calibration pictures cannot be read, or the GPU failed.
        SinkError: the plan was built but cannot be kept.
    """
    arithmetic: Arithmetic = "fp16" if precision == "auto" else precision
    if calibration is not None and arithmetic != "int8":
        raise UsageError(f"calibration pictures are for precision int8, not {arithmetic}; leave one out")
    path = _float_file(name)
    package = _load_package(runtime)
    gpu = _find_gpu(package)
    with CompileProgress(path.stem, console, quiet=quiet) as shown:
        try:
            plan, _, is_new = obtain_plan(
                path,
                read_spec(path),
                package,
                arithmetic,
                gpu=gpu,
                calibration=Calibration(calibration),
                on_progress=shown.show,
                force=force,
            )
        except KeyboardInterrupt:
            shown.close()
            console.print("stopped; nothing was written")
            return 130
    if plan.path is None:
        raise SinkError("the plan was built but cannot be kept; see the warning above, or set XDG_CACHE_HOME")
    if not quiet:
        say(plan_text(plan, is_new=is_new))
    return 0


def plan_text(plan: StoredPlan, *, is_new: bool) -> str:
    """Return what was made, for which GPU, from what, how large, in how long and where, as a few lines."""
    key, about = plan.key, plan.about
    what = f"{key.model}, {key.package} {key.package_version}, {key.precision}"
    seconds = f"{float(about.get('seconds', 0.0)):.1f} s"
    lines = [f"{what}: built in {seconds}" if is_new else f"{what}: there already, was built in {seconds}"]
    lines.append(f"  runs on   {key.gpu}")
    lines.append(f"  takes     {key.shapes}")
    if "calibration" in about:
        lines.append(f"  ranges    from {about['calibration']}")
    lines.append(f"  file      {plan.path}, {plan.nbytes / 1e6:.1f} MB")
    return "\n".join(lines)


def _float_file(name: str) -> Path:
    """Return the float file behind a name; plans are made from it in every precision.

    Raises:
        ModelFileError: there is none.
    """
    path = model_path(name)
    if read_spec(path).precision == "fp32":
        return path
    beside = variants(path).get("fp32")
    if beside is None:
        raise ModelFileError(f"{path} is quantised, but plans are built from the float file; give that one")
    return beside


def _load_package(runtime: CompileRuntime) -> TensorRtPackage:
    if runtime != "auto":
        return load_package(runtime)
    reasons = []
    names: tuple[PackageName, ...] = ("tensorrt", "tensorrt-rtx")
    for name in names:
        try:
            return load_package(name)
        except RuntimeUnavailableError as error:
            LOGGER.info("%s", error)
            reasons.append(str(error))
    raise RuntimeUnavailableError("nothing here builds plans: " + "; ".join(reasons))


def _find_gpu(package: TensorRtPackage) -> DeviceInfo | None:
    """Return the GPU that a plan is for; a portable plan is built without one as well.

    Raises:
        RuntimeUnavailableError: there is none, and the package needs it.
    """
    if not package.portable:
        return open_device().info
    state = driver_state()
    return state.devices[0] if state.devices else None


class CompileProgress:
    """What is being done and how far it is: a live bar on a terminal, plain lines elsewhere, or nothing."""

    def __init__(self, name: str, console: Console, *, quiet: bool) -> None:
        self._name, self._console, self._quiet = name, console, quiet
        self._told_s = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, share: float, what: str) -> None:
        """Show a share from 0 to 1; the first call brings the bar."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            if time.monotonic() - self._told_s >= PLAIN_INTERVAL_S:
                self._told_s = time.monotonic()
                self._console.print(f"{self._name}: {what}, {share:.0%}")
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task(self._name, total=1.0)
            self._bar.start()
        self._bar.update(self._task, completed=share, description=f"{self._name}: {what}")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
