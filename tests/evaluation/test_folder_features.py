"""Features of a folder: what they are, their order, and what becomes of broken files."""

import os
import re

import numpy as np
import pytest
import torch
from helpers import load_tool
from mmpretrain.models.backbones import MlpMixer, ResNet
from PIL import Image
from tiny.checkpoints import save_checkpoint
from tiny.families import SUPERNETS, build, images
from tiny.networks import VIT, randomise
from torchvision import transforms

from poa_mm.checkpoints.checkpoint import save_backbone
from poa_mm.checkpoints.preprocessing import Preprocessing
from poa_mm.evaluation.folder_features import folder_features, pooled
from poa_mm.export import FORMATS
from poa_mm.registry import MODELS

tool = load_tool('extract_features')


@pytest.fixture
def folder(tmp_path):
    """Five images in two classes, one broken file."""
    generator = np.random.default_rng(0)
    for name in ('cat/b.png', 'cat/a.png', 'dog/deep/c.png', 'dog/d.png', 'dog/e.png'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(path)
    (tmp_path / 'images' / 'dog' / 'broken.png').write_bytes(b'no image')
    return tmp_path / 'images'


def backbone():
    torch.manual_seed(0)
    net = randomise(MODELS.build(dict(VIT))).extract('w16-d2')
    net.eval()
    return net


def test_features_are_those_of_the_prepared_images(folder):
    net = backbone()
    preprocessing = Preprocessing((16, 16), (100.0, 110, 120), (50.0, 60, 70), 0.5, 'bilinear')
    result = folder_features(net, folder, preprocessing, batch_size=2)
    assert result.paths == ['cat/a.png', 'cat/b.png', 'dog/d.png', 'dog/deep/c.png', 'dog/e.png']
    assert result.classes == ['cat', 'dog']
    assert result.labels.tolist() == [0, 0, 1, 1, 1]
    assert len(result.unreadable) == 1
    assert 'broken.png' in result.unreadable[0]
    for path, feature in zip(result.paths, result.features, strict=True):
        image = Image.open(folder / path).resize((32, 42), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.float32)[13:29, 8:24]
        values = (pixels - [100, 110, 120]) / [50, 60, 70]
        inputs = torch.tensor(values, dtype=torch.float32).permute(2, 0, 1)[None]
        with torch.no_grad():
            expected = net(inputs)[0][0]
        torch.testing.assert_close(torch.tensor(feature), expected, rtol=1e-4, atol=1e-4)


def test_a_grey_network_gets_grey_images(folder, tmp_path):
    supernet = randomise(MODELS.build({**VIT, 'in_channels': 1}))
    config = {'data_preprocessor': {'mean': [100.0], 'std': [50.0]}}
    source = str(save_checkpoint(tmp_path / 'iter_1.pth', supernet, config=config))
    net = str(tmp_path / 'net.pth')
    assert load_tool('extract_subnet').main([source, 'w16-d2', net]) == 0
    assert tool.main([net, str(folder), str(tmp_path / 'f.npz'), '--workers', '0']) == 0
    stored = np.load(tmp_path / 'f.npz')
    for path, feature in zip(stored['paths'], stored['features'], strict=True):
        image = Image.open(folder / path).convert('L').resize((18, 24), Image.Resampling.BICUBIC)
        pixels = np.asarray(image, dtype=np.float32)[4:20, 1:17]
        inputs = torch.tensor((pixels - 100) / 50)[None, None]
        with torch.no_grad():
            expected = supernet(inputs, 'w16-d2')[0][0]
        torch.testing.assert_close(torch.tensor(feature), expected, rtol=1e-4, atol=1e-3)


def test_a_network_of_four_channels_reads_no_image_files(folder, tmp_path, capsys):
    supernet = MODELS.build({**VIT, 'in_channels': 4})
    save_backbone(supernet, 'smallest', tmp_path / 'net.pth')
    arguments = [str(tmp_path / 'net.pth'), str(folder), str(tmp_path / 'f.npz')]
    assert tool.main([*arguments, '--workers', '0', '--image-size', '16']) == 2
    assert 'the network takes 4: give it tensors from Python' in capsys.readouterr().err


def test_a_flat_folder_has_no_classes(folder):
    result = folder_features(backbone(), folder / 'cat', Preprocessing((16, 16)))
    assert result.labels is None
    assert set(result.arrays()) == {'features', 'paths'}


def test_maps_are_averaged():
    net, batch = ResNet(18), torch.randn(2, 3, 64, 64)
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(pooled(net, batch), net(batch)[-1].mean(dim=(2, 3)))


def test_of_tokens_the_class_token_is_taken():
    net, batch = backbone(), torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = pooled(net, batch)
        net.out_type = 'raw'
        assert net(batch)[-1].ndim == 3
        assert torch.equal(pooled(net, batch), expected)


def test_tokens_without_a_class_token_are_refused():
    net = MlpMixer(arch={**MlpMixer.arch_zoo['s'], 'num_layers': 1}, img_size=32, patch_size=16)
    with pytest.raises(ValueError, match=r'MlpMixer gives \(2, 512, 4\) and has no class token'):
        pooled(net, torch.randn(2, 3, 32, 32))


def test_the_tool_writes_what_the_function_returns(folder, tmp_path, capsys):
    supernet = randomise(MODELS.build(dict(VIT)))
    checkpoint, out = tmp_path / 'smallest.pth', tmp_path / 'new' / 'features.npz'
    save_backbone(supernet, 'smallest', checkpoint)
    arguments = [str(checkpoint), str(folder), str(out), '--workers', '0', '--image-size', '16']
    assert tool.main(arguments) == 0
    shown = capsys.readouterr()
    assert 'left out 1 unreadable images' in shown.out
    assert 'broken.png cannot be read' in shown.err
    stored = np.load(out)
    net = supernet.extract('smallest')
    net.eval()
    expected = folder_features(net, folder, Preprocessing((16, 16)))
    np.testing.assert_array_equal(stored['features'], expected.features)
    assert stored['paths'].tolist() == expected.paths
    assert stored['labels'].tolist() == [0, 0, 1, 1, 1]
    assert [path.name for path in out.parent.iterdir()] == ['features.npz']
    assert tool.main(arguments) == 2
    assert 'exists already' in capsys.readouterr().err


def test_without_a_name_the_arrays_lie_beside_the_checkpoint(folder, tmp_path):
    checkpoint = tmp_path / 'smallest.pth'
    save_backbone(randomise(MODELS.build(dict(VIT))), 'smallest', checkpoint)
    assert tool.main([str(checkpoint), str(folder), '--workers', '0', '--image-size', '16']) == 0
    assert (tmp_path / f'features_{folder.name}_smallest.npz').is_file()


def test_a_sub_network_of_a_training_checkpoint(folder, tmp_path):
    """The transform is that of the checkpoint's config."""
    supernet = randomise(MODELS.build(dict(VIT)))
    mean, std = [10.0, 20, 30], [40.0, 50, 60]
    config = {'data_preprocessor': {'mean': mean, 'std': std}}
    save_checkpoint(tmp_path / 'iter_1.pth', supernet, config=config)
    arguments = [str(tmp_path / 'iter_1.pth'), str(folder), str(tmp_path / 'f.npz')]
    assert tool.main([*arguments, '--workers', '0', '--subnet', 'w24-d3']) == 0
    net = supernet.extract('w24-d3')
    net.eval()
    expected = folder_features(net, folder, Preprocessing((16, 16), tuple(mean), tuple(std)))
    features = np.load(tmp_path / 'f.npz')['features']
    assert features.shape == (5, 24)
    np.testing.assert_allclose(features, expected.features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('to', ['extract_subnet', 'mmpretrain', 'safetensors'])
@pytest.mark.parametrize('side', [[], ['--image-size', '48']])
def test_an_extracted_file_gives_the_features_of_its_checkpoint(to, side, folder, tmp_path, capsys):
    """Whichever tool wrote it: size and statistics are those of pre-training."""
    source = str(save_checkpoint(tmp_path / 'iter_4.pth', build('swin')))
    if to == 'extract_subnet':
        path = str(tmp_path / 'net.pth')
        assert load_tool('extract_subnet').main([source, 'smallest', path]) == 0
    else:
        path = str(tmp_path / f'net{FORMATS[to].suffix}')
        assert load_tool('export_subnet').main([source, 'smallest', path, '--to', to]) == 0
    outs = [str(tmp_path / name) for name in ('a.npz', 'b.npz')]
    options = ['--workers', '0', *side]
    capsys.readouterr()
    assert tool.main([path, str(folder), outs[0], *options]) == 0
    assert 'does not say' not in capsys.readouterr().err
    assert tool.main([source, str(folder), outs[1], *options, '--subnet', 'smallest']) == 0
    mine, theirs = (np.load(out)['features'] for out in outs)
    np.testing.assert_array_equal(mine, theirs)


def test_a_file_that_does_not_say_gets_imagenet_s_values_and_a_note(folder, tmp_path, capsys):
    supernet = randomise(MODELS.build(dict(VIT)))
    save_backbone(supernet, 'smallest', tmp_path / 'old.pth')
    arguments = [str(tmp_path / 'old.pth'), str(folder), str(tmp_path / 'f.npz')]
    assert tool.main([*arguments, '--workers', '0', '--image-size', '16']) == 0
    note = capsys.readouterr().err.splitlines()[0]
    assert 'old.pth does not say what images it expects' in note
    assert 'taken are 16 × 16 RGB, of values of 0…1 minus 0.4850 0.4560 0.4060, over' in note
    assert 'resize to 18' in note


def test_a_file_that_says_nonsense(folder, tmp_path, capsys):
    supernet = MODELS.build(dict(VIT))
    save_backbone(supernet, 'smallest', tmp_path / 'net.pth', preprocessing={'image_size': [16]})
    arguments = [str(tmp_path / 'net.pth'), str(folder), str(tmp_path / 'f.npz')]
    assert tool.main([*arguments, '--workers', '0']) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert 'net.pth does not say clearly what images it expects' in error


@pytest.mark.parametrize('family', SUPERNETS)
def test_features_are_pooled_as_in_k_nn(family):
    """What k-NN takes as the class token, for every family."""
    supernet, batch = build(family), images(family)
    for subnet in supernet.space:
        net = supernet.extract(subnet)
        net.eval()
        with torch.no_grad():
            expected = supernet.tokens(batch, subnet)[0]
            torch.testing.assert_close(pooled(net, batch), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({2: 'features.csv'}, r'must end in \.npz, got features.csv'),
        ({1: 'nowhere'}, 'there is no image folder nowhere'),
        ({0: 'nothing.pth'}, 'no checkpoint at nothing.pth'),
    ],
)
def test_wrong_arguments_of_the_tool(changes, message, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = Preprocessing((16, 16)).as_dict()
    net = MODELS.build(dict(VIT))
    save_backbone(net, 'smallest', tmp_path / 'smallest.pth', preprocessing=images)
    arguments = [str(tmp_path / 'smallest.pth'), str(folder), 'features.npz']
    for index, value in changes.items():
        arguments[index] = value
    assert tool.main([*arguments, '--workers', '0']) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert re.search(message, error)
    assert not (tmp_path / 'features.npz').exists()


def test_no_readable_image(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'')
    with pytest.raises(ValueError, match='none of the 1 images'):
        folder_features(backbone(), tmp_path, Preprocessing((16, 16)))


def test_a_class_without_readable_images_keeps_its_row(folder):
    (folder / 'cow').mkdir()
    (folder / 'bird').mkdir()
    (folder / 'bird' / 'broken.png').write_bytes(b'no image')
    (folder / '.ipynb_checkpoints').mkdir()
    result = folder_features(backbone(), folder, Preprocessing((16, 16)))
    assert result.classes == ['bird', 'cat', 'cow', 'dog']
    assert result.labels.tolist() == [1, 1, 3, 3, 3]


@pytest.mark.parametrize('shape', [(2, 3000), (1500, 3)])
def test_a_very_long_image_gives_the_features_of_its_middle(shape, tmp_path):
    """They are those that resizing the whole image would give, which could take gigabytes."""
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'long.png')
    net, preprocessing = backbone(), Preprocessing((16, 16))
    result = folder_features(net, tmp_path, preprocessing)
    whole = transforms.Compose(
        [
            transforms.Resize(18, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(16),
            transforms.ToTensor(),
            transforms.Normalize(preprocessing.unit_mean, preprocessing.unit_std),
        ]
    )(Image.fromarray(pixels))
    with torch.no_grad():
        expected = net(whole[None])[0][0]
    torch.testing.assert_close(torch.tensor(result.features[0]), expected, rtol=0.02, atol=0.02)


def test_30000_pixels_in_a_row_take_no_gigabytes(tmp_path, monkeypatch):
    sizes = []
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, 'resize', lambda *args, **kw: sizes.append(args[1]) or resize(*args, **kw)
    )
    Image.fromarray(np.zeros((1, 30_000, 3), dtype=np.uint8)).save(tmp_path / 'long.png')
    result = folder_features(backbone(), tmp_path, Preprocessing((16, 16)))
    assert result.features.shape == (1, 16)
    assert sizes == [(1800, 18)]


def test_names_that_are_not_utf_8_come_back_from_the_file(folder, tmp_path, capsys):
    name = os.fsdecode(b'caf\xe9.png')
    (folder / 'cat' / 'a.png').rename(folder / 'cat' / name)
    (folder / 'dog' / 'broken.png').rename(folder / 'dog' / name)
    images = Preprocessing((16, 16)).as_dict()
    save_backbone(MODELS.build(dict(VIT)), 'smallest', tmp_path / 'net.pth', preprocessing=images)
    arguments = [str(tmp_path / 'net.pth'), str(folder), str(tmp_path / 'f.npz')]
    assert tool.main([*arguments, '--workers', '0']) == 0
    shown = capsys.readouterr()
    (shown.out + shown.err).encode('utf-8')
    assert r'dog/caf\udce9.png cannot be read' in shown.err
    assert os.fsencode(np.load(tmp_path / 'f.npz')['paths'][1]) == b'cat/caf\xe9.png'
