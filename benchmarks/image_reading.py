#!/usr/bin/env python
"""CPU time to read an image and cut its crops: whole, and as small as the crops allow.

Usage: python benchmarks/image_reading.py PHOTO.jpg [PHOTO.jpg …]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

from mmcv.transforms import LoadImageFromFile

from poa_mm.datasets import MultiCrop, SampleIndex, read_image
from poa_mm.datasets.images import read_reduced

REPEATS = 10


def milliseconds(function: Callable[[int], object]) -> float:
    """The median of the process's CPU time: other processes do not count."""
    times = []
    for number in range(REPEATS):
        start = time.process_time()
        function(number)
        times.append(time.process_time() - start)
    return 1000 * sorted(times)[REPEATS // 2]


def crops(path: str, transform: MultiCrop, reduce: bool, number: int) -> object:
    """One training sample."""
    index = SampleIndex(0, number, 0)
    reduction = partial(transform.reduction, index) if reduce else None
    image, full_shape = read_reduced(path, reduction)
    results = {'img': image, 'sample_idx': index, 'reduced_from': full_shape}
    return transform(results)


def main() -> None:
    """Print a row for each photograph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', nargs='+')
    transform, opencv = MultiCrop(), LoadImageFromFile()
    print('ms: mmcv reads  read_image  read and crop: whole  reduced  ratio')
    for path in parser.parse_args().photos:
        mmcv_time = milliseconds(lambda _, path=path: opencv({'img_path': path}))  # type: ignore[misc]
        own_time = milliseconds(lambda _, path=path: read_image(path))  # type: ignore[misc]
        whole = milliseconds(partial(crops, path, transform, False))
        reduced = milliseconds(partial(crops, path, transform, True))
        shape = 'x'.join(map(str, read_image(path).shape[1::-1]))
        times = (
            f'{mmcv_time:8.1f} {own_time:11.1f} {whole:22.1f} {reduced:8.1f} {whole / reduced:6.1f}'
        )
        print(f'{times}  {shape} {path}')


if __name__ == '__main__':
    main()
