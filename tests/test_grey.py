"""Grey images all the way: crops, a training step, k-NN, a file of one sub-network."""

import numpy as np
import torch
from helpers import load_tool
from PIL import Image
from tiny.poa_runs import make_runner

import poa_mm
from poa_mm.evaluation import KnnEvaluator

GREY = {'type': 'SelfSupDataPreprocessor', 'mean': [117.0], 'std': [60.0]}
TO_GREY = [
    {'type': 'NumpyToPIL', 'to_rgb': True},
    {'type': 'torchvision/Grayscale'},
    {'type': 'PackInputs'},
]
CROPS = {
    'type': 'MultiCrop',
    'global_size': 16,
    'local_size': 8,
    'num_local': 2,
    'blur_sigma': (0.1, 0.5),
    'channels': 1,
}


def patches(split, pipeline):
    return {
        'type': 'PhotoPatches',
        'split': split,
        'patch_size': 16,
        'patches_per_photo': 2,
        'pipeline': pipeline,
    }


def test_grey_from_photographs_to_features(tmp_path):
    crops = [CROPS, {'type': 'PackInputs', 'meta_keys': ('sample_idx',)}]
    runner, recorder = make_runner(
        tmp_path / 'run',
        max_iters=3,
        data_preprocessor=GREY,
        model__data_preprocessor=GREY,
        model__backbone__in_channels=1,
        train_dataloader__dataset=patches('train', crops),
        knn_pipeline=TO_GREY,
        knn_train_dataset=patches('train', TO_GREY),
        knn_test_dataset=patches('test', TO_GREY),
    )
    runner.train()
    assert all(np.isfinite(row['loss']) for row in recorder.rows)
    evaluator = KnnEvaluator.from_config(runner.cfg, progress=False, k=(1,))
    net = poa_mm.load_supernet(tmp_path / 'run' / 'iter_3.pth')
    results = dict(evaluator.evaluate(net, net.subnets[:2]))
    assert all(0 <= by_k['cls'][1] <= 100 for by_k in results.values())
    assert set(evaluator.pixels()) == {'raw', 'normalised'}

    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    (tmp_path / 'images').mkdir()
    Image.fromarray(image).save(tmp_path / 'images' / 'a.png')
    arguments = [str(tmp_path / 'run' / 'iter_3.pth'), 'smallest', str(tmp_path / 'net.pth')]
    assert load_tool('extract_subnet').main(arguments) == 0
    arguments = [str(tmp_path / name) for name in ('net.pth', 'images', 'f.npz')]
    assert load_tool('extract_features').main([*arguments, '--workers', '0']) == 0
    grey = np.asarray(Image.fromarray(image).convert('L'), dtype=np.float32)
    with torch.no_grad():
        expected = net(torch.tensor((grey - 117) / 60)[None, None], 'smallest')[0][0]
    found = torch.tensor(np.load(tmp_path / 'f.npz')['features'][0])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
