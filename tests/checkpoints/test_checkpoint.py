"""Files of training runs and of extracted backbones."""

import random
import zipfile

import pytest
import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.registry import MODELS
from tiny.poa_runs import make_runner

import poa_mm
from poa_mm.checkpoints import load_backbone, load_config, load_supernet, save_backbone
from poa_mm.models import ElasticVisionTransformer


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A runner after three iterations, and its checkpoint."""
    folder = tmp_path_factory.mktemp('run')
    runner, _ = make_runner(folder, max_iters=3)
    runner.train()
    return runner, folder / 'iter_3.pth'


@pytest.fixture
def images():
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_both_branches_of_a_training_checkpoint(trained, images):
    runner, path = trained
    model = runner.model
    model.backbone.eval()
    outputs = {}
    for branch, trained_net in (('teacher', model.teacher.backbone), ('student', model.backbone)):
        net = load_supernet(path, branch)
        assert type(net) is ElasticVisionTransformer
        assert not any(module.training for module in net.modules())
        assert all(p.requires_grad and p.device.type == 'cpu' for p in net.parameters())
        assert list(net.space) == list(trained_net.space)
        for name, value in trained_net.state_dict().items():
            assert torch.equal(net.state_dict()[name], value)
        for subnet in net.space:
            assert torch.equal(net(images, subnet)[0], trained_net(images, subnet)[0])
        outputs[branch] = net(images)[0]
    assert not torch.equal(outputs['teacher'], outputs['student'])
    assert torch.equal(poa_mm.load_supernet(str(path))(images)[0], outputs['teacher'])


def test_the_config_of_a_run(trained):
    runner, path = trained
    cfg = load_config(path)
    assert cfg.to_dict() == runner.cfg.to_dict()
    assert cfg.model.backbone.widths == [16, 24, 32]


def test_round_trip_of_a_backbone(trained, images, tmp_path):
    supernet = trained[0].model.teacher.backbone
    for subnet in supernet.space:
        path = tmp_path / 'new' / 'folder' / f'{subnet}.pth'
        save_backbone(supernet, subnet, path)
        assert [file.name for file in path.parent.glob(f'{subnet}*')] == [path.name]
        net = load_backbone(path)
        assert type(net) is VisionTransformer
        assert not net.training
        assert torch.equal(net(images)[0], supernet(images, subnet)[0])


def test_a_saved_backbone_is_plain_data_that_openmmlab_loads(trained, images, tmp_path):
    supernet = trained[0].model.teacher.backbone
    path = tmp_path / 'net.pth'
    save_backbone(supernet, 'smallest', path)
    content = torch.load(path, weights_only=True)
    assert content['subnet'] == 'w16-d2'
    cfg = supernet.subnet_cfg('smallest')
    cfg['init_cfg'] = {'type': 'Pretrained', 'checkpoint': str(path)}
    net = MODELS.build(cfg)
    net.init_weights()
    net.eval()
    assert torch.equal(net(images)[0], supernet(images, 'smallest')[0])


def test_an_existing_file_is_kept(trained, tmp_path):
    supernet = trained[0].model.backbone
    path = tmp_path / 'net.pth'
    path.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match=r'net\.pth exists already'):
        save_backbone(supernet, 'smallest', path)
    assert path.read_bytes() == b'mine'
    save_backbone(supernet, 'smallest', path, overwrite=True)
    assert load_backbone(path).embed_dims == 16


def test_a_failing_write_leaves_the_old_file(trained, tmp_path, monkeypatch):
    path = tmp_path / 'net.pth'
    path.write_bytes(b'mine')

    def full_disk(content, file):
        file.write_bytes(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(torch, 'save', full_disk)
    with pytest.raises(OSError, match='no space left'):
        save_backbone(trained[0].model.backbone, 'smallest', path, overwrite=True)
    assert path.read_bytes() == b'mine'


def test_an_unknown_sub_network_writes_nothing(trained, tmp_path):
    with pytest.raises(ValueError, match="no sub-network 'vit-x'"):
        save_backbone(trained[0].model.backbone, 'vit-x', tmp_path / 'new' / 'net.pth')
    assert not list(tmp_path.iterdir())


def test_unknown_branch(trained):
    with pytest.raises(ValueError, match=r"\('teacher', 'student'\), got 'ema'"):
        load_supernet(trained[1], 'ema')


LOADERS = pytest.mark.parametrize('load', [load_supernet, load_config, load_backbone])


@LOADERS
def test_missing_files(load, tmp_path):
    for path in (tmp_path / 'none.pth', tmp_path):
        with pytest.raises(FileNotFoundError, match=f'no checkpoint at {path}'):
            load(path)


@LOADERS
@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(load, share, trained, tmp_path):
    content = trained[1].read_bytes()
    path = tmp_path / 'cut.pth'
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r'cut\.pth is not a checkpoint that can be read'):
        load(path)


def opened_or_refused(path):
    try:
        return load_supernet(path)
    except ValueError as error:
        return error


@pytest.mark.parametrize('seed', range(20))
def test_damaged_files(seed, trained, tmp_path):
    """A few wrong bytes in the pickle: refused in one way, unless they hit a spare place."""
    content = bytearray(trained[1].read_bytes())
    start = content.index(b'data.pkl') + 64  # the first file of the archive
    rng = random.Random(seed)
    for _ in range(5):
        content[start + rng.randrange(6000)] = rng.randrange(256)
    path = tmp_path / 'damaged.pth'
    path.write_bytes(content)
    result = opened_or_refused(path)
    assert isinstance(result, ElasticVisionTransformer) or str(path) in str(result)


def test_a_changed_weight_is_noticed(trained, tmp_path):
    content = bytearray(trained[1].read_bytes())
    bias = load_supernet(trained[1]).layers[0].attn.qkv.bias.detach().numpy().tobytes()
    content[content.index(bias) + 5] ^= 64
    path = tmp_path / 'changed.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'changed\.pth is damaged: the check sum of .*data'):
        load_supernet(path)


@LOADERS
def test_files_of_other_kinds(load, tmp_path):
    path = tmp_path / 'file.pth'
    path.write_text('no pickle at all\n')
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        load(path)
    for content in ([1, 2], {'model': {}}, torch.zeros(2)):
        torch.save(content, path)
        with pytest.raises(ValueError, match='holds no state_dict'):
            load(path)
    torch.save({'state_dict': {'weight': torch.zeros(2)}, 'meta': {}}, path)
    with pytest.raises(ValueError, match=r'file\.pth is not a'):
        load(path)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('readme', 'an archive')
    with pytest.raises(ValueError, match='not a checkpoint that can be read'):
        load(path)


def test_one_kind_for_the_other(trained, tmp_path):
    with pytest.raises(ValueError, match=r'not an extracted backbone.*looks like a training'):
        load_backbone(trained[1])
    path = tmp_path / 'net.pth'
    save_backbone(trained[0].model.backbone, 'smallest', path)
    for load in (load_supernet, load_config):
        with pytest.raises(ValueError, match=r'not a training checkpoint.*looks like an extracted'):
            load(path)


def changed(path, folder, change):
    content = torch.load(path, weights_only=False)
    change(content['state_dict'])
    target = folder / 'changed.pth'
    torch.save(content, target)
    return target


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda state: state.pop('teacher.backbone.cls_token'), 'Missing key.*cls_token'),
        (
            lambda state: state.update({'teacher.backbone.new': torch.zeros(1)}),
            'Unexpected key.*new',
        ),
        (
            lambda state: state.update({'teacher.backbone.ln1.bias': torch.zeros(3)}),
            'size mismatch for ln1.bias',
        ),
    ],
    ids=['missing', 'unexpected', 'size'],
)
def test_weights_that_do_not_fit(trained, tmp_path, change, message):
    path = changed(trained[1], tmp_path, change)
    with pytest.raises(ValueError, match=r'(?s)changed\.pth do not fit.*' + message):
        load_supernet(path)
    load_supernet(path, 'student')


def test_dicts_among_the_arguments_are_written_as_plain_data(tmp_path, images):
    runner, _ = make_runner(
        tmp_path, max_iters=3, model__backbone__norm_cfg={'type': 'LN', 'eps': 1e-3}
    )
    runner.train()
    supernet = load_supernet(tmp_path / 'iter_3.pth')
    assert supernet.ln1.eps == 1e-3
    save_backbone(runner.model.backbone, 'smallest', tmp_path / 'net.pth')
    assert load_backbone(tmp_path / 'net.pth').ln1.eps == 1e-3
