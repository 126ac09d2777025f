"""A folder of images from training to predictions, with the tools in this process."""

import csv
import json
import re
import shutil
import sys

import pytest
import torch
from helpers import ROOT, load_tool
from mmpretrain import ImageClassificationInferencer
from PIL import Image
from tiny.checkpoints import save_supernet
from tiny.photos import write_photos
from tool_outcome import outcome

from poa_mm.checkpoints import save_backbone

CONFIG = ROOT / 'configs' / 'cls' / 'finetune_poa_folder.py'
SMALL = (
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'train_dataloader.batch_size=3',
)
CLASSES = ('a cat', '犬 ü')


def run(name, *args):
    """What a tool exits with; ``None`` if all went well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [f'{name}.py', *map(str, args)])
        return outcome(load_tool(name).main)


def train(folder, work_dir, *args, root='photos', checkpoint=None, options=()):
    checkpoint = checkpoint or f'subnet://smallest@{folder / "supernet.pth"}'
    return run(
        'train',
        *(CONFIG, '--work-dir', work_dir, *args, '--cfg-options', *SMALL),
        f'train_dataloader.dataset.data_root={folder / root}',
        f'model.backbone.init_cfg.checkpoint={checkpoint}',
        *('train_cfg.max_epochs=2', f'experiment_name={work_dir.name}', *options),
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A supernet, images of two classes, and a run of two epochs on them."""
    folder = tmp_path_factory.mktemp('folder')
    save_supernet(folder / 'supernet.pth')
    write_photos(folder / 'photos', CLASSES)
    write_photos(folder / 'flat', CLASSES, splits=())
    assert train(folder, folder / 'run') is None
    return folder


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_classes_are_in_the_checkpoint(folder):
    content = torch.load(folder / 'run' / 'epoch_2.pth', weights_only=False)
    assert tuple(content['meta']['dataset_meta']['classes']) == CLASSES
    assert content['state_dict']['head.fc.weight'].shape == (2, 16)


def test_a_resumed_run_is_the_same_to_the_bit(folder, tmp_path):
    for name in ('epoch_1.pth', 'finetune_poa_folder.py'):
        shutil.copy(folder / 'run' / name, tmp_path)
    assert train(folder, tmp_path, '--resume', tmp_path / 'epoch_1.pth') is None
    once, resumed = (weights(path / 'epoch_2.pth') for path in (folder / 'run', tmp_path))
    assert all(torch.equal(once[name], resumed[name]) for name in once)


def test_a_test_repeats_the_figure_of_validation(folder, tmp_path):
    config = folder / 'run' / 'finetune_poa_folder.py'  # complete, without the supernet
    assert 'FromCheckpoint' not in config.read_text()
    assert run('test', config, folder / 'run' / 'epoch_2.pth', '--work-dir', tmp_path) is None
    lines = (folder / 'run').rglob('scalars.json')
    logged = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    validated = [line['accuracy/top1'] for line in logged if 'accuracy/top1' in line]
    (result,) = [path for path in tmp_path.rglob('*.json') if path.name != 'scalars.json']
    assert json.loads(result.read_text())['accuracy/top1'] == validated[-1]


def test_predictions_are_those_of_mmpretrain(folder, tmp_path, capsys):
    checkpoint = folder / 'run' / 'epoch_2.pth'
    shutil.copytree(folder / 'photos' / 'val', tmp_path / 'images')
    (tmp_path / 'images' / 'broken.jpg').write_bytes(b'\xff\xd8\xff no image')
    (tmp_path / 'images' / '.DS_Store').touch()
    out, drawn = tmp_path / 'p.csv', tmp_path / 'drawn'
    args = ('--out', out, '--show-dir', drawn, '--workers', 0, '--batch-size', 3)
    assert run('classify', checkpoint, tmp_path / 'images', *args) is None
    said = capsys.readouterr()
    assert 'left out 1 unreadable images' in said.out
    assert 'left out: ' in said.err
    rows = list(csv.DictReader(out.open(encoding='utf-8')))
    assert len(rows) == 9
    config = str(folder / 'run' / 'finetune_poa_folder.py')
    reference = ImageClassificationInferencer(config, pretrained=str(checkpoint), device='cpu')
    readable = [row for row in rows if not row['unreadable']]
    for row, found in zip(readable, reference([r['path'] for r in readable]), strict=True):
        assert row['class_1'] == found['pred_class']
        assert float(row['score_1']) == pytest.approx(found['pred_score'], abs=1e-4)
        assert float(row['score_1']) + float(row['score_2']) == pytest.approx(1, abs=2e-4)
    pictures = sorted(drawn.rglob('*.png'))
    assert len(pictures) == 8
    with Image.open(pictures[0]) as picture:
        assert picture.size == (900, 400)
    assert 'exists already' in run('classify', checkpoint, tmp_path / 'images', *args)


def test_one_image_as_json(folder, tmp_path, capsys):
    image = folder / 'photos' / 'val' / CLASSES[0] / '100.png'
    out = tmp_path / 'p.json'
    assert (
        run('classify', folder / 'run' / 'epoch_2.pth', image, '--top-k', 1, '--out', out) is None
    )
    ((entry),) = json.loads(out.read_text(encoding='utf-8'))
    assert entry['path'] == str(image)
    (best,) = entry['predictions']
    printed = re.search(rf'  (\S+)  {best["class"]}\n', capsys.readouterr().out)
    assert printed is not None
    # Each is rounded by itself, the file to more places.
    assert float(printed[1]) == pytest.approx(best['score'], abs=0.0006)


def test_drawings_of_images_of_one_name(folder, tmp_path):
    images = [folder / 'photos' / 'val' / name / '100.png' for name in CLASSES]
    drawn = tmp_path / 'drawn'
    assert run('classify', folder / 'run' / 'epoch_2.pth', *images, '--show-dir', drawn) is None
    names = [path.relative_to(drawn).as_posix() for path in sorted(drawn.rglob('*.png'))]
    assert names == [f'{name}/100.png.png' for name in CLASSES]


def test_a_checkpoint_of_something_else(folder, tmp_path):
    image = folder / 'photos' / 'val' / CLASSES[0] / '100.png'
    assert 'holds a supernet, which knows no classes' in run(
        'classify', folder / 'supernet.pth', image
    )
    bare = tmp_path / 'bare.pth'
    torch.save({'state_dict': weights(folder / 'run' / 'epoch_2.pth')}, bare)
    assert f'{bare} holds no config, and there is none at' in run('classify', bare, image)
    config = folder / 'run' / 'finetune_poa_folder.py'
    assert run('classify', bare, image, '--config', config) is None
    shutil.copy(config, tmp_path / 'bare.py')
    assert run('classify', bare, image) is None


def broken(folder):
    (folder / 'val' / CLASSES[0] / '100.png').write_bytes(b'no image')


def unknown(folder):
    (folder / 'val' / CLASSES[0]).rename(folder / 'val' / 'A cat')


def alone(folder):
    shutil.rmtree(folder / 'train' / CLASSES[0])


def gone(folder):
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (broken, 'cannot be read as an image: unknown format: replace or delete it'),
        (unknown, 'images of classes that are not trained: A cat; trained are a cat'),
        (alone, r'one class only \(犬 ü\): put those of each class'),
        (gone, 'there is no image folder'),
    ],
)
def test_folders_that_cannot_be_trained_on(folder, tmp_path, spoil, message):
    shutil.copytree(folder / 'photos', tmp_path / 'photos')
    shutil.copy(folder / 'supernet.pth', tmp_path)
    spoil(tmp_path / 'photos')
    assert re.search(message, train(tmp_path, tmp_path / 'run'))
    assert not list((tmp_path / 'run').glob('*.pth'))


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ('subnet://w30-d2@{}/supernet.pth', 'w30-d2'),
        (
            '{}/supernet.pth',
            'holds a supernet: name one of its sub-networks, as in subnet://w16-d2@',
        ),
        ('{}/none.pth', 'no checkpoint at'),
        ('{}/run/epoch_2.pth', 'is not an extracted backbone'),
    ],
)
def test_checkpoints_that_hold_no_such_network(folder, tmp_path, checkpoint, message):
    assert message in train(folder, tmp_path, checkpoint=checkpoint.format(folder))


def test_an_extracted_file_on_a_folder_without_splits(folder, tmp_path, capsys):
    import poa_mm

    supernet = poa_mm.load_supernet(folder / 'supernet.pth')
    save_backbone(supernet, 'largest', tmp_path / 'large.pth')
    options = ('train_cfg.max_epochs=1', 'model.backbone.random_weights=True')
    args = {'root': 'flat', 'checkpoint': tmp_path / 'large.pth', 'options': options}
    assert train(folder, tmp_path / 'run', **args) is None
    said = capsys.readouterr().out
    assert 'data        6 images of 2 classes from' in said
    assert '0.2 of each class, held out of training (split_seed=0)' in said
    assert 'does not say what images it expects' in said
