"""A larger fine-tuned classifier teaches a smaller one."""

import copy

import pytest
import torch
from helpers import load_config
from mmengine.config import Config
from mmpretrain.structures import DataSample
from tiny.checkpoints import save_supernet
from tiny.classification import CLASSES, call, draw, last, shrink, tiny_config, tool_score

from poa_mm.classification.distillation import soft_loss
from poa_mm.classification.teacher import open_teacher
from poa_mm.registry import build_model


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return draw(tmp_path_factory.mktemp('distil'))


def save_teacher(path, classes=CLASSES, **changes):
    """A classifier on a ResNet, as a run leaves it: with its config and its classes."""
    cfg = load_config('cls/finetune_poa_resnet-50.py')
    shrink(cfg.model, 'resnet')
    cfg.model.head.num_classes = len(classes)
    cfg.merge_from_dict(changes)
    torch.manual_seed(1)
    net = build_model(copy.deepcopy(cfg.model))
    meta = {'cfg': cfg.pretty_text, 'dataset_meta': {'classes': classes}}
    torch.save({'state_dict': net.state_dict(), 'meta': meta}, path)
    return net


def test_the_loss_is_the_divergence_of_softened_answers():
    scores, answers = torch.randn(2, 5, 7, dtype=torch.float64).float()
    ours, theirs = (torch.softmax(x / 3, dim=1) for x in (scores, answers))
    expected = 9 * (theirs * (theirs / ours).log()).sum(dim=1).mean()
    assert soft_loss(scores, answers, 3.0).item() == pytest.approx(expected.item(), rel=1e-5)
    assert soft_loss(answers, answers, 3.0).item() == pytest.approx(0, abs=1e-6)
    # At a high temperature the gradient is that of half the squared distance of centred logits.
    scores.requires_grad_()
    soft_loss(scores, answers, 100.0).backward()
    difference = (scores - answers).detach()
    centred = difference - difference.mean(dim=1, keepdim=True)
    torch.testing.assert_close(scores.grad, centred / (5 * 7), rtol=0.05, atol=1e-3)


def student(teacher, **options):
    cfg = load_config('cls/finetune_poa_vit-s.py')
    shrink(cfg.model, 'vit')
    cfg.model.update(type='DistilledImageClassifier', teacher=teacher and str(teacher), **options)
    return build_model(cfg.model)


def test_weight_and_temperature_mix_labels_and_answers(tmp_path):
    """A head of the ViT's images: the ResNet sees them at another size than its own."""
    teacher = save_teacher(tmp_path / 't.pth').eval()
    images = torch.randn(4, 3, 16, 16)
    parts = {}
    for weight, temperature in ((0.0, 1.0), (1.0, 2.0), (0.3, 2.0)):
        torch.manual_seed(2)
        model = student(tmp_path / 't.pth', distill_weight=weight, temperature=temperature).eval()
        batch = model.data_preprocessor.cast_data(
            [DataSample().set_gt_label(i % 3) for i in range(4)]
        )
        parts[weight] = model.loss(images, batch)
    with torch.no_grad():
        answers = teacher(images, mode='tensor')
        expected = soft_loss(model(images, mode='tensor'), answers, 2.0)
    assert parts[1.0]['loss_distill'].item() == pytest.approx(expected.item(), rel=1e-5)
    assert parts[1.0]['loss_cls'].item() == parts[0.0]['loss_distill'].item() == 0
    for name, whole in (('loss_cls', 0.0), ('loss_distill', 1.0)):
        share = 0.3 if name == 'loss_distill' else 0.7
        assert parts[0.3][name].item() == pytest.approx(share * parts[whole][name].item(), rel=1e-5)


def test_the_teacher_is_no_part_of_the_model(folder, tmp_path):
    """Nor of its checkpoint and average; a test needs no teacher."""
    save_teacher(tmp_path / 't.pth')
    before = open_teacher(str(tmp_path / 't.pth')).model.state_dict()
    cfg = tiny_config('finetune_poa_vit-s', folder, tmp_path / 'run', epochs=1)
    plain = build_model(copy.deepcopy(cfg.model)).state_dict()
    cfg.dump(tmp_path / 'c.py')
    options = ['model.type=DistilledImageClassifier', f'model.teacher={tmp_path}/t.pth']
    assert call('train', tmp_path / 'c.py', '--cfg-options', *options) is None
    assert last(tmp_path / 'run', 'loss_distill') > 0
    content = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)
    assert content['state_dict'].keys() == plain.keys()
    averaged = {key for key in content['ema_state_dict'] if key != 'steps'}
    assert averaged == {f'module.{key}' for key in plain}
    after = open_teacher(str(tmp_path / 't.pth')).model
    assert all(torch.equal(value, before[name]) for name, value in after.state_dict().items())
    (tmp_path / 't.pth').unlink()
    args = [
        tmp_path / 'run' / 'c.py',
        tmp_path / 'run' / 'epoch_1.pth',
        '--work-dir',
        tmp_path / 'x',
    ]
    assert call('test', *args) is None
    assert tool_score(tmp_path / 'x') == pytest.approx(last(tmp_path / 'run'))
    # The student may teach in its turn.
    assert open_teacher(str(tmp_path / 'run' / 'epoch_1.pth')).names == CLASSES


def test_a_wrong_teacher_is_refused_before_training(folder, tmp_path):
    cfg = tiny_config('finetune_poa_vit-s', folder, tmp_path / 'run', epochs=1)
    save_supernet(tmp_path / 'supernet.pth')
    torch.save({'state_dict': {'head.weight': torch.ones(1)}, 'meta': {}}, tmp_path / 'bare.pth')
    save_teacher(tmp_path / 'four.pth', classes=('a', 'b', 'c', 'd'))
    save_teacher(tmp_path / 'order.pth', classes=CLASSES[::-1])
    save_teacher(tmp_path / 'mean.pth', **{'model.data_preprocessor.mean': [0.0, 0.0, 0.0]})
    save_teacher(tmp_path / 'other.pth')
    content = torch.load(tmp_path / 'other.pth')
    content['state_dict'].popitem()
    torch.save(content, tmp_path / 'other.pth')
    for name, words in (
        ('none', 'no checkpoint of the teacher at'),
        ('supernet', 'holds a supernet, which knows no classes'),
        ('bare', 'holds no config, and there is none at'),
        ('four', 'has 4 classes, the model 3: fine-tune both on the same classes'),
        ('order', "class 0 is 'blue' in the one and 'red' in the other"),
        ('mean', 'takes images with mean=[0.0, 0.0, 0.0], the model with [123.67'),
        ('other', 'do not fit: 1 missing: head.fc.bias'),
    ):
        cfg.model.update(type='DistilledImageClassifier', teacher=str(tmp_path / f'{name}.pth'))
        Config(cfg.to_dict()).dump(tmp_path / 'c.py')
        answer = call('train', tmp_path / 'c.py')
        assert answer.startswith('error: ')
        assert words in answer
    assert not list(tmp_path.glob('run/*.pth'))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'teacher': None}, 'needs model.teacher, the checkpoint of a classifier'),
        ({'temperature': 0}, 'temperature must be positive, got 0'),
        ({'distill_weight': 1.5}, 'distill_weight must be from 0 to 1, got 1.5'),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        student(**{'teacher': 't.pth', **options})
