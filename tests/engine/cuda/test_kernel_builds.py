"""Every kernel file compiles for every kind of GPU, in registers and shared memory alone."""

import re
from collections.abc import Sequence

import pytest

from tests.engine.cuda.kernel_resources import (
    ARCHS,
    Resources,
    compile_with_nvcc,
    compile_with_nvrtc,
    kernel_files,
    nvcc,
    nvrtc_is_installed,
    read_resources,
    warnings_in,
)
from tests.engine.cuda.shim_library import KERNELS, kernel_names

STACKS: dict[str, int] = {}
"""Entry points that need a stack frame, and of how many bytes at most; nobody else may have one."""
MAX_SHARED = 48 * 1024
"""Most static shared memory of a block, bytes."""
QUICK = (75, 120)
"""Of `ARCHS`, those that every run of the tests compiles for."""
NEEDS_NVRTC = pytest.mark.skipif(not nvrtc_is_installed(), reason="cuda-bindings and NVRTC are not installed")


def check(found: Sequence[Resources], name: str, archs: Sequence[int]) -> None:
    expected = sorted((entry, arch) for entry in kernel_names(name) for arch in archs)
    assert sorted((resources.entry, resources.arch) for resources in found) == expected
    for resources in found:
        assert resources.spill == 0, resources
        assert resources.stack <= STACKS.get(resources.entry, 0), resources
        assert resources.shared <= MAX_SHARED, resources


@NEEDS_NVRTC
@pytest.mark.parametrize("name", kernel_files())
@pytest.mark.parametrize(
    "arch", [pytest.param(arch, marks=[] if arch in QUICK else pytest.mark.slow) for arch in ARCHS]
)
def test_nvrtc_compiles_every_kernel_without_spills(arch, name):
    log = compile_with_nvrtc(name, arch)
    assert not warnings_in(log)
    check(read_resources(log), name, [arch])


@pytest.mark.slow
@pytest.mark.skipif(nvcc() is None, reason="nvcc is not installed")
@pytest.mark.parametrize("name", kernel_files())
def test_nvcc_compiles_every_kernel_without_spills(name, tmp_path):
    log = compile_with_nvcc(name, tmp_path)
    assert not warnings_in(log)
    check(read_resources(log), name, ARCHS)


def test_a_spill_and_a_stack_frame_are_read_from_the_log():
    log = """ptxas info    : Compiling entry function 'first' for 'sm_90a'
ptxas info    : Function properties for first
ptxas         .     8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Function properties for called
    0 bytes stack frame, 12 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1040 bytes smem, 428 bytes cmem[0]
ptxas info    : Compiling entry function 'second' for 'sm_90'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 20 registers, used 0 barriers"""
    assert read_resources(log) == [
        Resources("first", 90, 40, 1040, 8, 16),
        Resources("second", 90, 20, 0, 0, 0),
    ]


@pytest.mark.parametrize("name", kernel_files())
def test_kernel_files_can_be_compiled_without_headers_and_name_their_entries_on_one_line(name):
    text = (KERNELS / f"{name}.cu").read_text()
    assert re.findall(r"#include (.*)", text) == ['"pose.cuh"']
    assert len(kernel_names(name)) == text.count("__global__") > 0
    assert text.startswith("// ")
