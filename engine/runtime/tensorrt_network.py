"""A plan on a GPU: `DeviceNetwork` for TensorRT and TensorRT-RTX.

Every binding has an execution context of its own, since a captured graph keeps the state of the one it was
captured from, and all memory that the context needs for its shape: nothing is allocated while it runs.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from engine.cuda.device import Buffer, Device, DeviceTensor, Stream
from engine.errors import DeviceError, ModelFileError, RuntimeUnavailableError
from engine.geometry import Size
from engine.model_file import ModelSpec
from engine.runtime import output_strides
from engine.runtime.jit_cache import JitCache
from engine.runtime.plan_shapes import PlanShapes
from engine.runtime.tensorrt_errors import device_error, refusal
from engine.runtime.tensorrt_package import TensorRtPackage

LOGGER = logging.getLogger(__name__)


class TensorRtNetwork:
    """See `engine.runtime.device_network.DeviceNetwork`.

    Raises:
        PlanRefusedError: the plan was made by another version or for another GPU, or is damaged.
        ModelFileError: the plan does not fit the spec.
        RuntimeUnavailableError: the package cannot use this GPU or its driver.
        DeviceError: the memory does not suffice.
    """

    def __init__(
        self,
        package: TensorRtPackage,
        plan: bytes,
        spec: ModelSpec,
        device: Device,
        jit_cache: Path | None = None,
    ) -> None:
        """Load a plan.

        Args:
            package: that built it.
            plan: as `plan_builder.build_plan` makes it.
            spec: of the model.
            device: whose memory is used; it must be the GPU that CUDA has as the current one.
            jit_cache: file in which TensorRT-RTX keeps what it compiles at run time; None keeps nothing.
        """
        self.device = device
        self.capturable = True
        self.package = package
        self.setup: Stream = device.stream()
        self._runtime: Any = None
        self._engine: Any = None
        self._config: Any = None
        self.jit: JitCache | None = None
        try:
            self._load(plan, spec)
            self._config, self.jit = _runtime_config(package, self._engine, jit_cache)
        except BaseException:
            self.close()
            raise

    def _load(self, plan: bytes, spec: ModelSpec) -> None:
        module = self.package.module
        self.package.errors.take()
        try:
            self._runtime = module.Runtime(self.package.logger)
        except (RuntimeError, TypeError) as error:
            # The bindings raise TypeError where the library returns nothing.
            raise RuntimeUnavailableError(
                f"{self.package.name} cannot start on {self.device.info.name}: {self.package.why()}"
            ) from error
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise refusal(self.package, self._runtime, plan, self.device)
        self.input_name, self.output_names, self.dtype = _read_tensors(module, self._engine, spec)
        self.wanted = tuple(output_strides(spec))
        self.profiles = [
            _profile_shapes(self._engine, self.input_name, index)
            for index in range(self._engine.num_optimization_profiles)
        ]
        self.max_batch = max(shapes.max_batch for shapes in self.profiles)

    def bind(self, batch: int, size: Size) -> "TensorRtBinding":
        """Make the network ready; see `DeviceNetwork.bind`. It has run once when this returns.

        The first run compiles what is left to compile and settles all memory, so that the next may be
        captured, and finds a GPU that cannot.
        """
        profile = self._find_profile(batch, size)
        # Also makes the GPU the current one of this thread, which TensorRT takes for granted.
        self.setup.synchronize()
        binding = TensorRtBinding(self, self._new_context(), profile, batch, size)
        if self.jit is not None:
            self.jit.save()
        return binding

    def _find_profile(self, batch: int, size: Size) -> int:
        """Return the tightest profile that takes inputs of a shape."""
        fitting = [index for index, shapes in enumerate(self.profiles) if _fits(shapes, batch, size)]
        if not fitting:
            max(self.profiles, key=_volume).check(batch, size)
        return min(fitting, key=lambda index: _volume(self.profiles[index]))

    def _new_context(self) -> Any:
        if self._engine is None:
            raise ModelFileError("the network was closed; open the model again")
        context = self._engine.create_execution_context(self._config)
        if context is None:
            raise self.failure("prepare the network")
        return context

    def failure(self, what: str) -> DeviceError:
        """Return the error of a call that failed, with what the package said of it."""
        return device_error(self.package, self.device, what, self.package.why())

    def close(self) -> None:
        """Free the network; its bindings must be closed before."""
        # Each of these needs the one after it until it is gone.
        self._config = None
        self.jit = None
        self._engine = None
        self._runtime = None
        self.setup.close()


class TensorRtBinding:
    """See `engine.runtime.device_network.Binding`."""

    inputs: DeviceTensor
    outputs: Mapping[str, DeviceTensor]

    def __init__(self, network: TensorRtNetwork, context: Any, profile: int, batch: int, size: Size) -> None:
        """Make a context ready and run it once; see `TensorRtNetwork.bind`."""
        self._network = network
        self._context = context
        self._buffers: list[Buffer] = []
        try:
            self._set_shape(profile, (batch, 3, *size))
            self._allocate()
            self._warm_up()
        except BaseException:
            # Memory can be freed once nothing uses it; where waiting fails too, the first error says more.
            with suppress(DeviceError):
                network.setup.synchronize()
            self.close()
            raise

    def _set_shape(self, profile: int, shape: tuple[int, ...]) -> None:
        network, context = self._network, self._context
        if profile != 0:
            if not context.set_optimization_profile_async(profile, network.setup.handle):
                raise network.failure("choose a profile of the plan")
            network.setup.synchronize()
        if not context.set_input_shape(network.input_name, shape):
            raise ModelFileError(
                f"the plan does not take inputs of shape {shape}: {network.package.why()}; "
                "compile the model again"
            )
        try:
            missing = context.infer_shapes()
        except RuntimeError as error:
            raise network.failure("work out the shapes of the network") from error
        if missing:
            raise ModelFileError(f"the plan leaves the shapes of {missing} open; compile the model again")

    def _allocate(self) -> None:
        network, context = self._network, self._context
        if scratch := context.update_device_memory_size_for_shapes():
            buffer = self._buffer(scratch)
            context.set_device_memory(buffer.address, buffer.nbytes)
        self.inputs = self._tensor(network.input_name)
        tensors = {name: self._tensor(name) for name in network.output_names}
        self.outputs = {name: tensors[name] for name in network.wanted}

    def _tensor(self, name: str) -> DeviceTensor:
        shape = tuple(self._context.get_tensor_shape(name))
        tensor = DeviceTensor(0, shape, self._network.dtype)
        tensor = DeviceTensor(self._buffer(tensor.nbytes).address, shape, self._network.dtype)
        if not self._context.set_tensor_address(name, tensor.address):
            raise self._network.failure(f"place tensor {name!r}")
        return tensor

    def _buffer(self, nbytes: int) -> Buffer:
        self._buffers.append(self._network.device.allocate(nbytes))
        return self._buffers[-1]

    def _warm_up(self) -> None:
        network, stream = self._network, self._network.setup
        stream.clear(self.inputs.address, self.inputs.nbytes)
        self.enqueue(stream)
        stream.synchronize()
        if network.package.portable and not self._context.is_stream_capturable(stream.handle):
            LOGGER.info("%s cannot run this network inside a CUDA graph", network.package.name)
            network.capturable = False

    def enqueue(self, stream: Stream) -> None:
        """Put one run on the stream.

        Raises:
            DeviceError: the package refused, or the GPU has failed.
        """
        if not self._context.execute_async_v3(stream.handle):
            raise self._network.failure("run the network")

    def close(self) -> None:
        """Free the memory; work that uses it must be done."""
        self._context = None
        while self._buffers:
            self._buffers.pop().close()


def _read_tensors(module: Any, engine: Any, spec: ModelSpec) -> tuple[str, tuple[str, ...], np.dtype[Any]]:
    """Return the input, all outputs and the type of all of them."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT]
    outputs = tuple(name for name in names if name not in inputs)
    missing = [name for name in output_strides(spec) if name not in outputs]
    if inputs != [spec.input_name] or missing:
        raise ModelFileError(
            f"the plan of model {spec.name} must have the input {spec.input_name!r} and the outputs "
            f"{list(output_strides(spec))}, got {inputs} and {list(outputs)}; compile the model again"
        )
    types = {engine.get_tensor_dtype(name) for name in names}
    known: dict[Any, np.dtype[Any]] = {
        module.DataType.FLOAT: np.dtype(np.float32),
        module.DataType.HALF: np.dtype(np.float16),
    }
    if len(types) != 1 or not types <= set(known):
        raise ModelFileError(
            f"inputs and outputs of the plan of model {spec.name} must be all float32 or all float16, got "
            f"{sorted(str(type_) for type_ in types)}; compile the model again"
        )
    return inputs[0], outputs, known[types.pop()]


def _profile_shapes(engine: Any, name: str, index: int) -> PlanShapes:
    """Return what a profile of a plan takes, as the plan itself says."""
    low, typical, high = (tuple(shape) for shape in engine.get_tensor_profile_shape(name, index))
    return PlanShapes(typical[0], high[0], low[2:], typical[2:], high[2:])


def _fits(shapes: PlanShapes, batch: int, size: Size) -> bool:
    try:
        shapes.check(batch, size)
    except ModelFileError:
        return False
    return True


def _volume(shapes: PlanShapes) -> int:
    return shapes.max_batch * shapes.max_size[0] * shapes.max_size[1]


def _runtime_config(
    package: TensorRtPackage, engine: Any, jit_cache: Path | None
) -> tuple[Any, JitCache | None]:
    """Return how execution contexts are made: memory is ours; what is compiled at run time is kept.

    TensorRT-RTX compiles kernels for each shape it meets. Eagerly, so that the run after the first is the
    final one: a captured graph would keep the slower kernels that stand in meanwhile. Its own graphs are off,
    since ours hold more than the network.
    """
    module = package.module
    config = engine.create_runtime_config()
    if config is None:
        raise ModelFileError(f"{package.name} cannot prepare the plan: {package.why()}; compile it again")
    config.set_execution_context_allocation_strategy(module.ExecutionContextAllocationStrategy.USER_MANAGED)
    if not package.portable:
        return config, None
    config.cuda_graph_strategy = module.CudaGraphStrategy.DISABLED
    config.dynamic_shapes_kernel_specialization_strategy = (
        module.DynamicShapesKernelSpecializationStrategy.EAGER
    )
    cache = JitCache(config.create_runtime_cache(), jit_cache)
    config.set_runtime_cache(cache.handle)
    return config, cache
