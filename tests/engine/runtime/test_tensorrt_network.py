"""The names that the engine uses of the packages, held against the real TensorRT-RTX.

How a plan runs is tested in test_tensorrt.py, on the stand-in whose names are checked here.
"""

import enum
import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from engine.runtime.tensorrt_errors import supported_capabilities
from engine.runtime.tensorrt_package import load_package
from tests.engine.runtime import fake_tensorrt as fake

CLASSES = {
    "ILogger": fake.ILogger,
    "Runtime": fake.RtxRuntime,
    "ICudaEngine": fake.ICudaEngine,
    "IExecutionContext": fake.RtxExecutionContext,
    "IRuntimeConfig": fake.RtxRuntimeConfig,
    "IRuntimeCache": fake.IRuntimeCache,
}
SHARED = {
    "Runtime": fake.Runtime,
    "IExecutionContext": fake.IExecutionContext,
    "IRuntimeConfig": fake.IRuntimeConfig,
}
ENUMS: list[type[enum.Enum]] = [
    fake.TensorIOMode,
    fake.DataType,
    fake.ExecutionContextAllocationStrategy,
    fake.CudaGraphStrategy,
    fake.DynamicShapesKernelSpecializationStrategy,
    fake.EngineInvalidityDiagnostics,
    fake.ComputeCapability,
]


@pytest.fixture
def real() -> ModuleType:
    return pytest.importorskip("tensorrt_rtx")


def methods(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind, callable) if not name.startswith("_")}


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "ILogger"])
def test_every_method_that_is_used_exists_with_these_parameters(name: str, real: ModuleType) -> None:
    assert methods(CLASSES[name])
    for method, function in methods(CLASSES[name]).items():
        signature = str(getattr(getattr(real, name), method).__doc__)
        for parameter in inspect.signature(function).parameters:
            assert f"{parameter}:" in signature, f"{name}.{method} takes no {parameter}"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("ICudaEngine", ["num_io_tensors", "num_optimization_profiles"]),
        ("IRuntimeConfig", ["cuda_graph_strategy", "dynamic_shapes_kernel_specialization_strategy"]),
    ],
)
def test_every_attribute_that_is_used_exists(name: str, attributes: list[str], real: ModuleType) -> None:
    for attribute in attributes:
        found = getattr(getattr(real, name), attribute)
        assert isinstance(found, property)
        assert name == "ICudaEngine" or found.fset is not None, f"{attribute} cannot be set"


@pytest.mark.parametrize("kind", ENUMS)
def test_every_enum_member_that_is_used_exists(kind: type[enum.Enum], real: ModuleType) -> None:
    members = getattr(real, kind.__name__).__members__
    assert set(kind.__members__) <= set(members)
    if issubclass(kind, enum.IntFlag):
        assert {name: int(members[name]) for name in kind.__members__} == dict(kind.__members__)


def test_what_only_rtx_has_is_not_in_the_stand_in_for_tensorrt() -> None:
    only = {"is_stream_capturable", "get_engine_validity", "create_runtime_cache", "set_runtime_cache"}
    for kind in SHARED.values():
        assert not only & set(methods(kind))


def test_rtx_names_the_gpus_that_it_is_made_for(real: ModuleType) -> None:
    known = supported_capabilities(load_package("tensorrt-rtx"))
    assert {75, 80, 86, 89, 120} <= set(known)
    assert 90 not in known, "say so in the docs: this GPU is served now"


def test_dimensions_are_read_as_tuples_of_int(real: ModuleType) -> None:
    shape = tuple(real.Dims((2, 3, 128, 96)))
    assert shape == (2, 3, 128, 96) and all(type(side) is int for side in shape)


def test_types_of_the_package_are_those_of_numpy(real: ModuleType) -> None:
    assert real.nptype(real.DataType.HALF) is np.float16
    assert real.nptype(real.DataType.FLOAT) is np.float32
