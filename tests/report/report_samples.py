"""A checkpoint of a tiny supernet with all that a report shows, and what to expect of it."""

import json
import re
from types import SimpleNamespace

import numpy as np
from helpers import load_tool
from PIL import Image
from tiny.checkpoints import save_checkpoint
from tiny.families import IMAGES, build

from poa_mm.report import write as writing
from poa_mm.report import write_report
from poa_mm.report.write import Sources

ESCAPED = '<b>cat</b> & dog'
CLASSES = ('<i>cat & dog', 'plain')


def write_folder(folder, count=6, classes=CLASSES):
    """Write random images in class folders."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f'{index}.png')


def page_data(path):
    """The data within a page."""
    text = path.read_text(encoding='utf-8')
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def report_of(folder):
    """Write a report with all parts.

    Returns:
        Paths of checkpoint, page, table of accuracies, embeddings; features of the images.
    """
    net = build('vit')
    config = {**IMAGES, 'note': ESCAPED}
    checkpoint = save_checkpoint(folder / 'iter_1.pth', net, config=config)
    logged = folder / '20260101_000000' / 'vis_data'
    logged.mkdir(parents=True)
    lines = [
        {'step': n, 'loss': 9.0 / n, 'time': 0.1, 'images_per_s': 10, 'knn/smallest': 5.0 * n}
        for n in (1, 2, 3)
    ]
    (logged / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    images = folder / 'images'
    write_folder(images, 12)
    knn = load_tool('eval_knn')
    data = ['--train-data', str(images), '--test-data', str(images)]
    options = ['--workers', '0', '--k', '10', '20', '--device', 'cpu']
    assert knn.main([str(checkpoint), *data, *options]) == 0
    picture = folder / 'attention_iter_1.png'  # as tools/visualize.py names it
    Image.new('RGB', (40, 30), 'teal').save(picture)
    kept = {}
    original = writing.sized_features

    def keep(*args, **kwargs):
        kept.update(original(*args, **kwargs))
        return dict(kept)

    writing.sized_features = keep
    try:
        sources = Sources(images, embeddings=folder / 'e.parquet')
        write_report(checkpoint, folder / 'report.html', sources)
    finally:
        writing.sized_features = original
    return SimpleNamespace(
        checkpoint=checkpoint,
        html=folder / 'report.html',
        table=folder / 'knn_iter_1' / 'knn.csv',
        embeddings=folder / 'e.parquet',
        features=list(kept.values())[-1],
    )
