"""A stand-in for the Python modules `tensorrt` and `tensorrt_rtx`: what the engine uses of them at run time.

Plans name an ONNX file; running one runs that file by ONNX Runtime's CPU provider on the memory of a
`ShimDevice`. What the packages demand is demanded: shapes and addresses set, memory given, a first run before
a capture. Refusals are as theirs: nothing comes back, and the log says why. That every name here exists in
the real module is a test of its own.
"""

import enum
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime

from engine.cuda.device import DeviceTensor
from engine.errors import DeviceError
from engine.model_file import ModelSpec
from engine.runtime import output_strides
from engine.runtime.plan_shapes import PlanShapes
from tests.engine.cuda.shim_device import ShimDevice, ShimStream, Work

KERNELS = b"kernels of "


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        pass


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(enum.Enum):
    FLOAT = 0
    HALF = 1


class ExecutionContextAllocationStrategy(enum.Enum):
    USER_MANAGED = 2


class CudaGraphStrategy(enum.Enum):
    DISABLED = 0


class DynamicShapesKernelSpecializationStrategy(enum.Enum):
    EAGER = 1


class EngineInvalidityDiagnostics(enum.IntFlag):
    VERSION_MISMATCH = 1
    UNSUPPORTED_CC = 2
    INSUFFICIENT_GPU_MEMORY = 16


class ComputeCapability(enum.Enum):
    NONE = 0
    CURRENT = 1
    SM75 = 75
    SM80 = 80
    SM86 = 86
    SM89 = 89
    SM120 = 120


@dataclass
class World:
    """What the fake runs on, and what is to go wrong.

    faults: name of a method to the line that it logs before it fails. shift: px by which heatmaps come out
    moved. bias: added to all outputs. capturable: what TensorRT-RTX says of its contexts. contexts: made and
    not freed. loaded: plans that were loaded.
    """

    device: ShimDevice
    portable: bool
    version: str
    faults: dict[str, str] = field(default_factory=dict)
    shift: int = 0
    bias: float = 0.0
    capturable: bool = True
    compiled: list[tuple[int, ...]] = field(default_factory=list)
    contexts: list["IExecutionContext"] = field(default_factory=list)
    loaded: int = 0
    logger: Any = None

    def fails(self, method: str) -> bool:
        """Log what goes wrong in a method, if it does."""
        if method in self.faults:
            self.logger.log(Severity.ERROR, self.faults[method])
        return method in self.faults


def fake_plan(
    path: Path, spec: ModelSpec, package: Any, precision: str, shapes: PlanShapes | list[PlanShapes], **_: Any
) -> bytes:
    """Stand in for `plan_builder.build_plan`."""
    profiles = shapes if isinstance(shapes, list) else [shapes]
    plan = {
        "onnx": str(path),
        "inputs": [spec.input_name],
        "outputs": list(output_strides(spec)),
        "type": "FLOAT" if precision == "fp32" else "HALF",
        "version": package.version,
        "profiles": [
            [
                [1, 3, *each.min_size],
                [each.typical_batch, 3, *each.typical_size],
                [each.max_batch, 3, *each.max_size],
            ]
            for each in profiles
        ],
    }
    return json.dumps(plan).encode()


class IRuntimeCache:
    def __init__(self, world: World) -> None:
        self.world = world

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(KERNELS + self.world.version.encode()):
            return False
        self.world.compiled = [tuple(shape) for shape in json.loads(blob.split(b"|")[1])]
        return True

    def serialize(self) -> bytes:
        return KERNELS + self.world.version.encode() + b"|" + json.dumps(self.world.compiled).encode()


class IRuntimeConfig:
    def __init__(self, world: World) -> None:
        self._world = world
        self._strategy: Any = None

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        assert isinstance(strategy, ExecutionContextAllocationStrategy)
        self._strategy = strategy


class RtxRuntimeConfig(IRuntimeConfig):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.cuda_graph_strategy: Any = None
        self.dynamic_shapes_kernel_specialization_strategy: Any = None

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self._world)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        return isinstance(cache, IRuntimeCache)


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._world: World = WORLDS[-1]
        self._world.logger = logger
        if self._world.fails("Runtime"):
            raise TypeError("pybind11::init(): factory function returned nullptr")

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        if self._world.fails("deserialize_cuda_engine"):
            return None
        try:
            plan = json.loads(serialized_engine)
        except ValueError:
            self._world.logger.log(
                Severity.ERROR, "Serialization assertion plan.header.size == blobSize failed."
            )
            return None
        if plan["version"] != self._world.version:
            self._world.logger.log(
                Severity.ERROR, "The engine plan file is not compatible with this version."
            )
            return None
        self._world.loaded += 1
        return ICudaEngine(self._world, plan)


class RtxRuntime(Runtime):
    def get_engine_validity(self, buffer: bytes) -> tuple[Any, int]:
        return None, int(self._world.faults.get("get_engine_validity", "0"))


class ICudaEngine:
    def __init__(self, world: World, plan: dict[str, Any]) -> None:
        self._world, self._plan = world, plan
        self._names = plan["inputs"] + plan["outputs"]
        self.num_io_tensors = len(self._names)
        self.num_optimization_profiles = len(plan["profiles"])
        self._shapes: dict[tuple[int, ...], dict[str, list[int]]] = {}
        self._session = onnxruntime.InferenceSession(plan["onnx"], providers=["CPUExecutionProvider"])

    def get_tensor_name(self, index: int) -> str:
        return str(self._names[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._plan["inputs"] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[self._plan["type"]]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        assert name in self._plan["inputs"]
        return list(self._plan["profiles"][profile_index])

    def create_runtime_config(self) -> IRuntimeConfig | None:
        if self._world.fails("create_runtime_config"):
            return None
        return (RtxRuntimeConfig if self._world.portable else IRuntimeConfig)(self._world)

    def create_execution_context(self, runtime_config: IRuntimeConfig) -> "IExecutionContext | None":
        assert runtime_config._strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        if self._world.fails("create_execution_context"):
            return None
        made = (RtxExecutionContext if self._world.portable else IExecutionContext)(self)
        self._world.contexts.append(made)
        return made


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._world = engine, engine._world
        self._profile = 0
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self._memory = (0, 0)
        self._needed: int | None = None
        self._runs = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._stream(stream_handle)
        if self._world.fails("set_optimization_profile_async"):
            return False
        self._profile, self._shape = profile_index, ()
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.get_tensor_profile_shape(name, self._profile)
        if self._world.fails("set_input_shape"):
            return False
        if not all(least <= side <= most for least, side, most in zip(low, shape, high, strict=True)):
            self._world.logger.log(Severity.ERROR, f"Static dimension mismatch: {shape}")
            return False
        self._shape, self._needed = tuple(shape), None
        return True

    def infer_shapes(self) -> list[str]:
        if self._world.fails("infer_shapes"):
            raise RuntimeError("infer_shapes failed")
        return [] if self._shape else list(self._engine._plan["inputs"])

    def update_device_memory_size_for_shapes(self) -> int:
        assert self._shape
        self._needed = 64 * self._shape[0] * self._shape[2]
        return self._needed

    def set_device_memory(self, memory: int, size: int) -> None:
        assert self._needed is not None and size >= self._needed and memory % 256 == 0
        self._memory = (memory, size)

    def get_tensor_shape(self, name: str) -> list[int]:
        assert self._shape
        if name in self._engine._plan["inputs"]:
            return list(self._shape)
        # The real one works it out from the graph; here a picture is run, once for each shape.
        if self._shape not in self._engine._shapes:
            found = self._compute(np.zeros(self._shape, np.float32))
            self._engine._shapes[self._shape] = {key: list(value.shape) for key, value in found.items()}
        return self._engine._shapes[self._shape][name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return not self._world.fails("set_tensor_address")

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._world.fails("execute_async_v3"):
            return False
        assert set(self._addresses) == set(self._engine._names), "a tensor has no address"
        assert self._memory[1], "no memory was given"
        stream = self._stream(stream_handle)
        if stream.recording is not None and not self._runs:
            raise DeviceError("the first run cannot be captured")
        self._runs += 1
        if self._shape not in self._world.compiled:
            self._world.compiled.append(self._shape)
        tensors = {name: self._tensor(name) for name in self._engine._names}
        uses = [(tensor.address, tensor.nbytes) for tensor in tensors.values()] + [self._memory]
        stream.put(Work(lambda: self._run(tensors), tuple(uses)))
        return True

    def _tensor(self, name: str) -> DeviceTensor:
        dtype = np.dtype(np.float32 if self._engine._plan["type"] == "FLOAT" else np.float16)
        return DeviceTensor(self._addresses[name], tuple(self.get_tensor_shape(name)), dtype)

    def _run(self, tensors: dict[str, DeviceTensor]) -> None:
        view = self._world.device.view
        view(DeviceTensor(*self._memory[:1], self._memory[1:], np.dtype(np.uint8)))[...] = 0xEE
        inputs = view(tensors[self._engine._plan["inputs"][0]]).astype(np.float32)
        for name, value in self._compute(inputs).items():
            view(tensors[name])[...] = np.roll(value, self._world.shift, axis=3) + self._world.bias

    def _compute(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        names = self._engine._plan["outputs"]
        found = self._engine._session.run(names, {self._engine._plan["inputs"][0]: inputs})
        return dict(zip(names, found, strict=True))

    def _stream(self, handle: int) -> ShimStream:
        return next(stream for stream in self._world.device.streams if stream.handle == handle)


class RtxExecutionContext(IExecutionContext):
    def is_stream_capturable(self, stream: int) -> bool:
        self._stream(stream)
        return self._world.capturable


WORLDS: list[World] = []
_COUNT = itertools.count()


def fake_module(world: World) -> ModuleType:
    """Return the module; Runtimes made afterwards work in this world."""
    WORLDS.append(world)
    module = ModuleType(f"fake_tensorrt_{next(_COUNT)}")
    common: list[Any] = [ILogger, TensorIOMode, DataType, ExecutionContextAllocationStrategy]
    rtx: list[Any] = [
        CudaGraphStrategy,
        DynamicShapesKernelSpecializationStrategy,
        EngineInvalidityDiagnostics,
        ComputeCapability,
    ]
    for item in common + (rtx if world.portable else []):
        setattr(module, item.__name__, item)
    module.Runtime = RtxRuntime if world.portable else Runtime  # type: ignore[attr-defined]
    module.__version__ = world.version  # type: ignore[attr-defined]
    return module
