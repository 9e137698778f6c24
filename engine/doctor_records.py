"""What the doctor writes down."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of what the doctor writes down."""

    model_config = ConfigDict(frozen=True)


class Problem(Record):
    """Something amiss, or to be had, and the line that mends or gets it."""

    what: str
    remedy: str


class RuntimeReport(Record):
    """Whether a runtime works here.

    devices: accelerators it sees; error: why it does not work; install: the line that installs it.
    """

    name: str
    version: str | None
    works: bool
    devices: dict[str, str]
    error: str | None = None
    install: str | None = None


class ModelRun(Record):
    """One bundled model on one runtime in one precision: fastest of five runs on one picture, ms."""

    runtime: str
    precision: str
    latency_ms: float


class Difference(Record):
    """Largest and mean absolute difference of the first heatmaps between two runs of one model."""

    first: str
    second: str
    maximum: float
    mean: float


class ParityReport(Record):
    """A bundled model on an accelerator against its float model on the CPU, on pictures of the demo clip.

    maximum, mean: of the differences of outputs; keypoint_px: how far a sure keypoint moved at most, input
    px; None stands for what is not a number. allowed_*: the same as tolerated.
    """

    model: str
    runtime: str
    precision: str
    maximum: float | None
    mean: float | None
    keypoint_px: float | None
    keypoints: int
    allowed_maximum: float
    allowed_mean: float
    allowed_keypoint_px: float
    passed: bool


class ModelReport(Record):
    """A bundled model: what its file says, how it runs, how far its runs differ."""

    about: dict[str, object]
    runs: list[ModelRun]
    differences: list[Difference]
    parity: list[ParityReport] = []


class GpuReport(Record):
    """One NVIDIA GPU. compute_capability: such as "8.9"."""

    index: int
    name: str
    compute_capability: str
    memory_gib: float


class KernelReport(Record):
    """One kernel against its twin on the GPU. maximum: None where it did not run, or gave NaN."""

    kernel: str
    dtype: str
    unit: str
    maximum: float | None
    tolerance: float
    passed: bool
    error: str | None


class NvidiaReport(Record):
    """What there is of NVIDIA's.

    driver: its release. cuda: the newest CUDA that it serves. packages: of the GPU path, with versions.
    problem: why the GPU path cannot be used, None where it can.
    """

    driver: str | None = None
    cuda: str | None = None
    gpus: list[GpuReport] = []
    packages: dict[str, str | None] = {}
    problem: str | None = None
    kernels: list[KernelReport] = []


class Diagnosis(Record):
    """All that the doctor found; `model_dump_json()` makes JSON of it. advice: what could be better."""

    version: str
    python: str
    system: str
    cpu: str
    cores: int
    memory_gib: float | None
    packages: dict[str, str | None]
    nvidia: NvidiaReport = NvidiaReport()
    runtimes: list[RuntimeReport]
    models: list[ModelReport]
    cache_dir: str
    cache_writable: bool
    problems: list[Problem]
    advice: list[Problem] = []

    @property
    def healthy(self) -> bool:
        """Whether nothing is amiss."""
        return not self.problems
