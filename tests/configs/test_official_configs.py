"""The configs of the authors' runs: start, parameter groups and schedules of their code."""

import math
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from helpers import load_config
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import PARAM_SCHEDULERS
from official import recipe, resnet, swin, vit
from tiny.networks import poa_config

from poa_mm.checkpoints.official.convert import HEAD_KEYS
from poa_mm.checkpoints.official.resnet import RESNET
from poa_mm.checkpoints.official.swin import SWIN
from poa_mm.checkpoints.official.vit import VIT
from poa_mm.registry import HOOKS, MODELS

LR, WD = 0.5, 0.04
HEAD = {'num_prototypes': [90, 110], 'hidden': 80, 'bottleneck': 48}
HEAD_DIMS = {'hidden': 80, 'bottleneck': 48, 'prototypes': (90, 110)}


class Case(NamedTuple):
    """A config, and a network of its kind that is small enough for a test.

    Attributes:
        config: Name of the config without prefix.
        table: Names of theirs with ours.
        theirs: Names of theirs with shapes.
        depths: Blocks of each stage.
        backbone: What is smaller than in the config.
        layer_decay: Of the learning rate.
        batch, epochs, epoch_length, warmup, part: Of their run.
    """

    config: str
    table: tuple
    theirs: dict
    depths: tuple
    backbone: dict
    layer_decay: float
    batch: int
    epochs: int
    epoch_length: int
    warmup: int
    part: float

    @property
    def iterations(self):
        return self.epochs * self.epoch_length


CASES = {
    'vit': Case(
        config='vit-l',
        table=VIT.keys,
        theirs=vit.shapes(vit.Dims(64, 3, 16, 256, 4, 5, True, **HEAD_DIMS)),
        depths=(3,),
        backbone={
            'arch': {
                'embed_dims': 64,
                'num_layers': 3,
                'num_heads': 4,
                'feedforward_channels': 256,
            },
            'img_size': 20,
            'patch_size': 4,
            'widths': [32, 64],
            'depths': [2, 3],
        },
        layer_decay=0.9,
        batch=1600,
        epochs=346,
        epoch_length=800,
        warmup=10,
        part=0.78,
    ),
    'swin': Case(
        config='swin-b',
        table=SWIN.keys,
        theirs=swin.shapes(swin.Dims(24, 8, (1, 2, 3, 2), 7, 4, 4, **HEAD_DIMS)),
        depths=(1, 2, 3, 2),
        backbone={
            'arch': {'embed_dims': 24, 'depths': [1, 2, 3, 2], 'num_heads': [3, 6, 12, 24]},
            'widths': [16, 24],
            'depths': [7, 8],
            'out_indices': (0, 1, 2, 3),
        },
        layer_decay=0.9,
        batch=2048,
        epochs=346,
        epoch_length=625,
        warmup=30,
        part=0.9,
    ),
    'resnet': Case(
        config='resnet-152',
        table=RESNET.keys,
        theirs=resnet.shapes(resnet.Dims(64, 64, 128, (1, 2, 3, 1), 32, **HEAD_DIMS)),
        depths=(1, 2, 3, 1),
        backbone={
            'arch': {'stage_blocks': (1, 2, 3, 1), 'mid_channels': 64, 'out_channels': 128},
            'widths': [32, 64],
            'depths': [(1, 2, 3, 1)],
        },
        layer_decay=0.95,
        batch=1280,
        epochs=692,
        epoch_length=1000,
        warmup=30,
        part=1.0,
    ),
}
families = pytest.mark.parametrize('family', CASES)


def load(family):
    return load_config(f'pretrain/poa_{CASES[family].config}_official.py')


@pytest.fixture(scope='module')
def models():
    """A small model of each config, as a run starts with it."""
    built = {}
    for family, case in CASES.items():
        cfg = load(family).model
        cfg.backbone.update(case.backbone)
        cfg.head.update(HEAD)
        torch.manual_seed(0)
        built[family] = MODELS.build(cfg)
        built[family].init_weights()
    return built


def names(family):
    """Our name of each parameter of theirs."""
    case = CASES[family]
    keys = (*case.table, *HEAD_KEYS)
    return {
        name: next(ours for key in keys if (ours := key.rename(name)) is not None)
        for name in case.theirs
    }


def idle(model):
    """Norms of outputs that no loss reads: without a gradient in their code, frozen in ours."""
    layers = set(model.backbone.output_layers)
    return {
        f'backbone.{name}.{kind}'
        for name, layer in model.backbone.named_modules()
        if layer in layers
        for kind in ('weight', 'bias')
    }


@families
def test_the_student_has_the_parameters_of_theirs(models, family):
    ours = {name for name, p in models[family].named_parameters() if p.requires_grad}
    assert set(names(family).values()) == ours | idle(models[family])


@families
def test_every_parameter_starts_as_theirs(models, family):
    shapes = CASES[family].theirs
    for name, ours in names(family).items():
        weight = name.removesuffix('bias') + 'weight'
        fan_in = math.prod(shapes[weight][1:]) if name.endswith('.bias') else None
        fan_in = fan_in or math.prod(shapes[name][1:])
        mean, std = recipe.start(name, shapes[name], fan_in, family)
        parameter = models[family].get_parameter(ours).double()
        error = std / math.sqrt(parameter.numel())  # of the mean; smaller than that of the std
        assert abs(parameter.mean() - mean) <= 5 * error + 1e-9, name
        if std:
            assert abs(parameter.std() - std) <= 5 * error, name
        else:
            assert parameter.std() == 0, name


@families
def test_what_starts_uniform_and_what_normal(models, family):
    """The largest values tell them apart: √3 standard deviations, or four and more."""
    for name, ours in names(family).items():
        parameter = models[family].get_parameter(ours).double()
        if parameter.numel() < 4000 or not parameter.std():
            continue
        normal = 'mlp' in name or 'attn' in name or 'embed' in name.split('.')[-1]
        normal = normal and (family == 'vit' or name.startswith('dino_head'))
        peak = (parameter.abs().max() / parameter.std()).item()
        assert (peak > 3.2) if normal else (peak < 1.8), (name, peak)


@families
def test_the_teacher_starts_as_the_student(models, family):
    model = models[family]
    for student, teacher in ((model.backbone, 'backbone'), (model.head, 'head')):
        for name, parameter in student.named_parameters():
            assert torch.equal(parameter, model.teacher.get_parameter(f'{teacher}.{name}'))


@families
def test_every_parameter_has_their_rate_and_decay(models, family):
    case, model = CASES[family], models[family]
    wrapper = build_optim_wrapper(
        model,
        {
            'optimizer': {'type': 'AdamW', 'lr': LR, 'weight_decay': WD},
            **{key: load(family).optim_wrapper[key] for key in ('constructor', 'paramwise_cfg')},
        },
    )
    ours = {parameter: name for name, parameter in model.named_parameters()}
    found = {
        ours[parameter]: (group['lr'] / LR, group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    for name, own in names(family).items():
        if own in idle(model):
            continue
        rate = recipe.rate(name, family, case.depths, case.layer_decay, 0.2)
        decay = WD if recipe.decays(name) else 0
        assert found[own] == (pytest.approx(rate, rel=1e-12), decay), name


def iterations_to_look_at(case):
    """First and last iteration, both sides of what changes, and some in between."""
    warmup, last = case.warmup * case.epoch_length, case.iterations - 1
    edges = [0, 1, case.epoch_length, warmup, 30 * case.epoch_length, last]
    around = {i + step for i in edges for step in (-1, 0, 1)}
    return sorted({i for i in around if 0 <= i <= last} | set(range(0, last, 9973)))


def rates_of_run(cfg):
    """Learning rate and weight decay of a parameter at the full rate, iteration by iteration."""
    optimizer = torch.optim.AdamW(
        [torch.nn.Parameter(torch.zeros(1))],
        lr=cfg.optim_wrapper.optimizer.lr,
        weight_decay=cfg.optim_wrapper.optimizer.weight_decay,
    )
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler), default_args={'optimizer': optimizer})
        for scheduler in cfg.param_scheduler
    ]
    (group,) = optimizer.param_groups
    for _ in range(cfg.train_cfg.max_iters):
        yield group['lr'], group['weight_decay']
        for scheduler in schedulers:
            scheduler.step()


def test_learning_rate_and_weight_decay_of_the_whole_run():
    """Of the ViT; the other configs name the same schedules with the numbers of the next test."""
    case, cfg = CASES['vit'], load('vit')
    assert cfg.train_cfg.max_iters == case.iterations
    base = 0.004 * math.sqrt(case.batch / 1024)
    warmup = case.warmup * case.epoch_length
    length = (case.iterations, case.part)
    wanted = set(iterations_to_look_at(case))
    for i, (lr, decay) in enumerate(rates_of_run(cfg)):
        if i in wanted:
            expected = recipe.stretched_cosine(i, base, 2e-5, *length, warmup)
            assert lr == pytest.approx(expected, rel=1e-9, abs=1e-15)
            expected = recipe.stretched_cosine(i, 0.04, 0.4, *length)
            assert decay == pytest.approx(expected, rel=1e-9)


@families
def test_what_the_schedules_of_a_config_say(family):
    """The numbers from which the curves of the whole run follow."""
    case, cfg = CASES[family], load(family)
    warmup, whole = case.warmup * case.epoch_length, int(case.iterations / case.part)
    lr = cfg.optim_wrapper.optimizer.lr
    assert lr == pytest.approx(0.004 * math.sqrt(case.batch / 1024), rel=1e-15)
    line, cosine, decay = cfg.param_scheduler
    kinds = [scheduler.type for scheduler in cfg.param_scheduler]
    assert kinds == [scheduler.type for scheduler in load('vit').param_scheduler]
    assert (line.begin, line.end, cosine.begin, decay.begin) == (0, warmup, warmup, 0)
    assert cosine.end == decay.end == case.iterations
    assert (cosine.T_max, decay.T_max) == (whole - warmup, whole)
    assert cosine.eta_min_ratio * lr == pytest.approx(2e-5, rel=1e-15)
    assert (cfg.optim_wrapper.optimizer.weight_decay, decay.eta_min) == (0.04, 0.4)


@families
def test_momentum_temperature_frozen_layers_and_masks_of_the_whole_run(family):
    case, cfg = CASES[family], load(family)
    hook = HOOKS.build(cfg.custom_hooks[0])
    model = MODELS.build(poa_config())
    told, momenta = {}, {}
    wrapper = SimpleNamespace(
        freeze=lambda labels: told.update(frozen=list(labels)),
        should_update=lambda: True,
        optimizer=SimpleNamespace(param_groups=[{'weight_decay': 0.0}]),
    )
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=wrapper,
        max_iters=case.iterations,
        message_hub=SimpleNamespace(update_scalar=momenta.__setitem__),
    )
    model.update_teacher = lambda momentum: told.update(momentum=momentum)
    for i in iterations_to_look_at(case):
        runner.iter = i
        hook.before_train_iter(runner, i)
        hook.after_train_iter(runner, i)
        temperature = recipe.temperature(i, 30 * case.epoch_length)
        assert model.teacher_temp == pytest.approx(temperature, rel=1e-9)
        momentum = recipe.stretched_cosine(i, 0.992, 0.9999, case.iterations, case.part)
        assert told['momentum'] == pytest.approx(momentum, rel=1e-12)
        assert told['frozen'] == (['last_layer'] if i < case.epoch_length else [])
        assert model.ibot_active == (i >= 30 * case.epoch_length)


@families
def test_what_else_differs_from_the_paper(family):
    theirs = load(family)
    paper = load_config(f'pretrain/poa_{CASES[family].config}.py')
    assert theirs.train_dataloader.dataset.pipeline[0].blur_prob == (0.0, 0.9, 0.5)
    own = {'vit': {}, 'swin': {'official': True}, 'resnet': {'weighted': ['depth']}}[family]
    expected = {**paper.model.backbone, **own, 'init_cfg': {'type': 'Official'}}
    assert theirs.model.backbone == expected
    assert theirs.model.head == {**paper.model.head, 'prototype_init': 'linear'}


@families
def test_the_start_of_the_authors_takes_no_settings(family):
    cfg = load(family).model.backbone
    cfg.update(CASES[family].backbone, init_cfg={'type': 'Official', 'std': 0.1, 'layer': 'Linear'})
    net = MODELS.build(cfg)
    with pytest.raises(
        ValueError, match=r"type 'Official' takes nothing else, got \['layer', 'std'\]"
    ):
        net.init_weights()
