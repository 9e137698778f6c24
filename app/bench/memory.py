"""How much memory this process holds."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

STATM = Path("/proc/self/statm")


def resident_mib() -> float:
    """Return the resident memory of this process in MiB.

    Read from the kernel on Linux, by psutil elsewhere; without either it is the highest so far, which a flat
    line still proves flat.
    """
    if STATM.is_file():
        return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    if find_spec("psutil"):
        import psutil  # type: ignore[import-untyped]

        return float(psutil.Process().memory_info().rss) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
