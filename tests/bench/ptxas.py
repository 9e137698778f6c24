"""Prints what every kernel needs on every kind of GPU: ``python tests/bench/ptxas.py [KERNEL FILE …]``.

Registers are per thread, the rest is bytes; needs NVRTC, but no GPU.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engine.cuda.kernel_resources import (
    ARCHS,
    compile_with_nvrtc,
    kernel_files,
    nvrtc_is_installed,
    read_resources,
)


def main(names: list[str]) -> int:
    """Print a table for the kernel files named, or for all; return the exit code."""
    unknown = [name for name in names if name not in kernel_files()]
    if unknown or not nvrtc_is_installed():
        print(
            f"there are no kernel files {unknown}; choose from {kernel_files()}"
            if unknown
            else 'NVRTC is not installed: pip install "steadypose[cuda]"',
            file=sys.stderr,
        )
        return 2
    print("| kernel | GPU | registers | shared | stack | spilled |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in names or kernel_files():
        rows = [row for arch in ARCHS for row in read_resources(compile_with_nvrtc(name, arch))]
        for row in sorted(rows, key=lambda row: (row.entry, row.arch)):
            cells = (row.entry, f"sm_{row.arch}", row.registers, row.shared, row.stack, row.spill)
            print(f"| {' | '.join(str(cell) for cell in cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
