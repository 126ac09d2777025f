"""SEED against the formula in loops, its queue, and what its checkpoints hold."""

import copy
import math

import pytest
import torch
from ranks import run_distributed
from tiny.networks import TINY_BACKBONE, randomise
from torch.nn.parallel import DistributedDataParallel

from poa_mm.checkpoints import save_backbone
from poa_mm.registry import ELASTIC_BACKBONES, MODELS

WIDTH, QUEUE = 6, 11
TAU_T, TAU_S = 0.05, 0.2
STUDENT = {**TINY_BACKBONE, 'widths': [32], 'depths': [4]}
MEAN, STD = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]


@MODELS.register_module(force=True)
class MeansOfRows:
    """A teacher whose features are the means of six rows of a channel, before normalisation."""

    channels, width = 3, WIDTH

    def __call__(self, images, mean=None, std=None):
        pixels = images if mean is None else images * std + mean
        return pixels[:, 1, :WIDTH].mean(dim=2) + 0.01


def build(**changes):
    torch.manual_seed(0)
    cfg = {
        'type': 'SEED',
        'backbone': STUDENT,
        'teacher': {'type': 'MeansOfRows'},
        'queue_size': QUEUE,
        'student_temp': TAU_S,
        'teacher_temp': TAU_T,
        'data_preprocessor': {'type': 'SelfSupDataPreprocessor', 'mean': MEAN, 'std': STD},
        **changes,
    }
    return randomise(MODELS.build(copy.deepcopy(cfg))).double()


def views(batch=2, seed=7):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, 3, 16, 16, generator=generator, dtype=torch.float64) for _ in range(2)
    ]


def unit(vector):
    return vector / math.sqrt(sum(float(x) ** 2 for x in vector))


def taught(image):
    """The teacher's feature of a normalised image, of length 1."""
    rows = [sum((float(x) * STD[1] + MEAN[1]) for x in row) / 16 for row in image[1, :WIDTH]]
    return unit(torch.tensor(rows, dtype=torch.float64) + 0.01)


def loss_by_hand(features, images, queue):
    """SEED's loss: one softmax over the queue and the image's own feature for each network."""
    total = 0
    for feature, image in zip(features, images, strict=True):
        keys = [*queue, taught(image)]
        student = feature / feature.square().sum().sqrt()
        ours = [(student * key).sum() / TAU_S for key in keys]
        theirs = [(taught(image) * key).sum() / TAU_T for key in keys]
        rest = sum(logit.exp() for logit in ours).log()
        whole = sum(logit.exp() for logit in theirs)
        total = total - sum(t.exp() / whole * (s - rest) for s, t in zip(ours, theirs, strict=True))
    return total / len(images)


def student_by_hand(model, images):
    """Two linear layers with a ReLU between them, on the class token of the stock network."""
    net = model.backbone.extract()
    first, _, second = model.head
    hidden = (net(images)[-1] @ first.weight.T + first.bias).clamp(min=0)
    return hidden @ second.weight.T + second.bias


def test_the_loss_the_gradient_and_the_queue_over_steps():
    model = build()
    queue = [row.clone() for row in model.queue.features]
    assert all(abs(float(row.square().sum()) - 1) < 1e-6 for row in queue)
    place = 0
    for step in range(4):  # 4 features each: the eleven are replaced, and the next ones wrap
        batch = views(seed=step)
        images = torch.cat(batch)
        expected = loss_by_hand(student_by_hand(model, images), images, queue)
        weight = model.head[2].weight
        by_hand = torch.autograd.grad(expected, weight)[0]
        loss = model.loss(batch)['loss']
        assert abs(float((loss - expected).detach())) <= 1e-8
        torch.testing.assert_close(torch.autograd.grad(loss, weight)[0], by_hand)
        for image in images:
            queue[place] = taught(image)
            place = (place + 1) % QUEUE
        torch.testing.assert_close(model.queue.features, torch.stack(queue))
        assert int(model.queue.pointer) == place


def test_a_batch_larger_than_the_queue_leaves_its_last_features():
    model = build(queue_size=3)
    batch = views()
    model.loss(batch)
    expected = torch.stack([taught(image) for image in torch.cat(batch)[-3:]])
    torch.testing.assert_close(model.queue.features, expected)


def train(model, batches):
    """Losses of steps of SGD on a model, bare or in DDP."""
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for batch in batches:
        loss = model(batch, None, mode='loss')['loss']
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return losses


def rank_steps(rank):
    model = build()
    batches = [[view.chunk(2)[rank] for view in views(4, seed)] for seed in range(3)]
    losses = train(DistributedDataParallel(model, broadcast_buffers=False), batches)
    return losses, model.state_dict()


def test_two_ranks_are_one_process_with_both_batches():
    (losses, state), (others, other) = run_distributed(rank_steps, 2)
    model = build()
    whole = train(model, [views(4, seed) for seed in range(3)])
    for first, second, both in zip(losses, others, whole, strict=True):
        torch.testing.assert_close((first + second) / 2, both)
    assert torch.equal(state['queue.features'], other['queue.features'])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state[name], value)


def test_nothing_of_the_teacher_is_in_the_model(tmp_path):
    supernet = ELASTIC_BACKBONES.build({**TINY_BACKBONE, 'init_cfg': None})
    path = tmp_path / 'teacher.pth'
    save_backbone(supernet, 'largest', path)
    model = build(teacher={'type': 'FrozenTeacher', 'checkpoint': str(path), 'image_size': 16})
    tops = {name.split('.')[0] for name in model.state_dict()}
    assert tops <= {'backbone', 'head', 'queue', 'data_preprocessor'}
    assert {name.split('.')[0] for name, _ in model.named_parameters()} == {'backbone', 'head'}
    assert all(p.requires_grad for p in model.parameters())
    model.loss(views())['loss'].backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'backbone': TINY_BACKBONE}, r'one width and one depth, got widths=\[16, 24, 32\]'),
        ({'queue_size': 0}, 'queue_size must be at least 1, got 0'),
        ({'student_temp': 0.0}, 'student_temp must be positive, got 0.0'),
        (
            {'backbone': {**STUDENT, 'in_channels': 1}},
            'images of 3 channels, the student of 1',
        ),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_too_few_views_are_refused():
    with pytest.raises(ValueError, match='at least 2 views, got 1 views'):
        build().loss(views()[:1])
