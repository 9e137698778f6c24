"""Keep decoded pictures in memory: the same picture shows several people, and comes again every epoch."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.data.labels import read_image

MIB = 2**20


class ImageCache:
    """Pictures as they were decoded, the least recently used ones forgotten beyond a limit of bytes.

    Each process that makes samples fills its own; a copy sent to another process starts empty.
    """

    def __init__(self, limit_mib: float) -> None:
        self.limit = int(limit_mib * MIB)
        self.used = 0
        self._images: OrderedDict[Path, NDArray[np.uint8]] = OrderedDict()

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return a picture as (H, W, 3) uint8 BGR, which cannot be written to.

        Raises:
            SourceError: the file is missing or is no whole image.
        """
        image = self._images.get(path)
        if image is not None:
            self._images.move_to_end(path)
            return image
        image = read_image(path)
        image.flags.writeable = False
        if image.nbytes <= self.limit:
            self._images[path] = image
            self.used += image.nbytes
            while self.used > self.limit:
                self.used -= self._images.popitem(last=False)[1].nbytes
        return image

    def __len__(self) -> int:
        return len(self._images)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.limit / MIB,)
