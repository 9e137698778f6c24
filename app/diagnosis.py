"""What `doctor` prints, as text or as JSON."""

from collections.abc import Iterator

from app.console import say
from app.tables import field_lines, text_table
from engine.doctor import Diagnosis, NvidiaReport, ParityReport, Problem, RuntimeReport, diagnose


def print_doctor(*, as_json: bool) -> int:
    """Look at this machine, print what was found, return exit code 0 if healthy, else 1."""
    diagnosis = diagnose()
    say(diagnosis.model_dump_json(indent=2) if as_json else diagnosis_text(diagnosis))
    return 0 if diagnosis.healthy else 1


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as paragraphs: machine, packages, GPUs, runtimes, models, advice, and
    problems with their remedies."""
    memory = "unknown" if diagnosis.memory_gib is None else f"{diagnosis.memory_gib} GiB"
    cache = "writable" if diagnosis.cache_writable else "NOT writable"
    parts = [
        field_lines(
            [
                ("steadypose", diagnosis.version),
                ("python", diagnosis.python),
                ("system", diagnosis.system),
                ("processor", f"{diagnosis.cpu}, {diagnosis.cores} cores"),
                ("memory", memory),
                ("cache", f"{diagnosis.cache_dir} ({cache})"),
            ]
        ),
        field_lines([(name, number or "absent") for name, number in diagnosis.packages.items()]),
        *_nvidia_parts(diagnosis.nvidia),
        text_table(
            ("runtime", "version", "works", "sees"),
            [
                (
                    runtime.name,
                    runtime.version or "absent",
                    "yes" if runtime.works else "NO",
                    ", ".join(
                        key if kind == "provider" else f"{key}: {kind}"
                        for key, kind in runtime.devices.items()
                    ),
                )
                for runtime in diagnosis.runtimes
            ],
        ),
    ]
    missing = [_why_not(runtime) for runtime in diagnosis.runtimes if not runtime.works]
    if missing:
        parts.append("\n".join(missing))
    runs = [
        (str(model.about["name"]), run.runtime, run.precision, f"{run.latency_ms:.1f} ms")
        for model in diagnosis.models
        for run in model.runs
    ]
    differences = [
        (str(model.about["name"]), gap.first, gap.second, f"{gap.maximum:.4f}", f"{gap.mean:.5f}")
        for model in diagnosis.models
        for gap in model.differences
    ]
    if runs:
        parts.append(text_table(("model", "runtime", "precision", "fastest of 5"), runs))
    if differences:
        parts.append(text_table(("model", "first", "second", "largest gap", "mean gap"), differences))
    parity = [_parity_row(found) for model in diagnosis.models for found in model.parity]
    if parity:
        parts.append(
            text_table(("model", "runtime", "precision", "values (allowed)", "px (allowed)", "same"), parity)
        )
    parts += ["\n".join(_remedies("advice", "do", diagnosis.advice))] if diagnosis.advice else []
    parts.append("\n".join(_remedies("problem", "mend", diagnosis.problems)) or "nothing is amiss")
    return "\n\n".join(parts)


def _why_not(runtime: RuntimeReport) -> str:
    error = runtime.error or "does not work"
    if runtime.install is None or runtime.version is not None or runtime.install in error:
        return f"{runtime.name}: {error}"
    return f"{runtime.name}: {error}\n    get it: {runtime.install}"


def _remedies(kind: str, verb: str, problems: list[Problem]) -> Iterator[str]:
    for problem in problems:
        yield f"{kind}: {problem.what}\n    {verb}: {problem.remedy}"


def _nvidia_parts(nvidia: NvidiaReport) -> Iterator[str]:
    """Yield driver and packages, GPUs, and kernels beside their twins, as far as there are any."""
    driver = nvidia.driver or ("of unknown release" if nvidia.cuda else "absent")
    yield field_lines(
        [
            ("nvidia driver", f"{driver}, CUDA {nvidia.cuda}" if nvidia.cuda else driver),
            *((name, number or "absent") for name, number in nvidia.packages.items()),
            *((("gpu path", f"not usable: {nvidia.problem}"),) if nvidia.gpus and nvidia.problem else ()),
        ]
    )
    if nvidia.gpus:
        rows = [
            (gpu.index, gpu.name, gpu.compute_capability, f"{gpu.memory_gib:.1f} GiB") for gpu in nvidia.gpus
        ]
        yield text_table(("gpu", "name", "SM", "memory"), rows)
    if nvidia.kernels:
        yield text_table(
            ("kernel", "type", "differs by (allowed)", "of", "same"),
            [
                (
                    check.kernel,
                    check.dtype,
                    f"{_number(check.maximum)} ({check.tolerance:g})",
                    check.unit,
                    "yes" if check.passed else "NO",
                )
                for check in nvidia.kernels
            ],
        )


def _parity_row(found: ParityReport) -> tuple[str, ...]:
    return (
        found.model,
        found.runtime,
        found.precision,
        f"{_number(found.maximum)} ({found.allowed_maximum:g})",
        f"{_number(found.keypoint_px)} ({found.allowed_keypoint_px:g})",
        "yes" if found.passed else "NO",
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2g}"
