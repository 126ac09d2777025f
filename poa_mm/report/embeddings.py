"""Features of images as a table that embedding-atlas opens."""

from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from poa_mm.errors import printable
from poa_mm.evaluation.folder_features import FolderFeatures
from poa_mm.files import replaced
from poa_mm.report.own_images import neighbours_of, small_jpeg
from poa_mm.report.packages import EMBEDDINGS, check_packages

__all__ = ['atlas_command', 'save_embeddings']

NEIGHBOURS = 10
SIDE = 96  # pixels of a picture


def save_embeddings(path: str | PathLike, features: FolderFeatures, folder: str | PathLike) -> None:
    """Write a row for each image: feature, place in a plane, neighbours, name, class and picture.

    Columns: ``id`` (row), ``path`` (relative to the folder), ``class`` (where known), ``vector``
    (feature), ``x`` and ``y`` (its first two principal components), ``neighbors`` (``ids`` and
    cosine ``distances`` of the nearest others) and ``image`` (``bytes`` of a small JPEG).

    Args:
        path: File to write, ``*.parquet``; it appears complete or not at all.
        features: Of the images below a folder.
        folder: That folder.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    check_packages(EMBEDDINGS)
    import pyarrow
    from pyarrow import parquet

    folder, count = Path(folder), len(features.paths)
    similar, rows = neighbours_of(features.features, range(count), min(NEIGHBOURS, count - 1))
    plane = np.zeros((count, 2))
    parts = min(2, count, features.features.shape[1])
    plane[:, :parts] = PCA(parts, random_state=0).fit_transform(features.features)
    columns = {
        'id': pyarrow.array(range(count), pyarrow.int64()),
        'path': [printable(one) for one in features.paths],
        'vector': pyarrow.array(list(features.features), pyarrow.list_(pyarrow.float32())),
        'x': plane[:, 0],
        'y': plane[:, 1],
        'neighbors': [
            {'ids': ids.tolist(), 'distances': (1 - values).tolist()}
            for ids, values in zip(rows, similar, strict=True)
        ],
        'image': [{'bytes': small_jpeg(folder / one, SIDE)} for one in features.paths],
    }
    if features.labels is not None:
        columns['class'] = [printable(features.classes[label]) for label in features.labels]
    with replaced(path) as partial:
        parquet.write_table(pyarrow.table(columns), partial)


def atlas_command(path: str | PathLike) -> str:
    """Return the command that opens the table."""
    columns = '--image image --x x --y y --neighbors neighbors'
    return f'embedding-atlas {path} {columns}'
