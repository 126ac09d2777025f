"""Configs of SEED: one student each, the paper's figures, SEED's own settings."""

import pytest
from helpers import ROOT, load_config
from tiny.checkpoints import save_supernet

from poa_mm.checkpoints.build import build_on_meta
from poa_mm.elastic import Subnet
from poa_mm.engine.config_check import check_config
from poa_mm.evaluation import read_paper

TEACHER_EPOCHS, VIEWS = 600, 2
# Effective epochs of one pass with two crops of 224 and eight of 96 pixels.
MULTI_CROP = 2 + 8 * (96 / 224) ** 2
SIZES = {'s': Subnet(384, 12), 'b': Subnet(768, 12)}
(TABLE,) = (table for table in read_paper(ROOT / 'results' / 'paper.yaml') if table.number == '4')


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp('run') / 'iter_1.pth'
    save_supernet(path)
    return path


def text(size):
    return (ROOT / 'configs' / f'pretrain/baselines/seed_vit-{size}.py').read_text()


# The teacher's weights, which the meta device does not hold.
@pytest.mark.filterwarnings('ignore:for .*copying from a non-meta')
@pytest.mark.parametrize('size', SIZES)
def test_it_builds_at_full_size(size, teacher):
    cfg = load_config(f'pretrain/baselines/seed_vit-{size}.py')
    check_config(cfg)
    cfg.model.teacher.checkpoint = f'subnet://largest@{teacher}'
    model = build_on_meta(cfg.model)
    assert list(model.backbone.space) == [SIZES[size]]
    assert model.backbone.space[f'vit-{size}'] == SIZES[size]
    assert model.queue.features.shape == (65536, 32)
    assert (model.student_temp, model.teacher_temp) == (0.2, 0.01)
    assert cfg.custom_hooks[-1].subnets == [f'vit-{size}']
    assert cfg.train_dataloader.dataset.pipeline[0].num_local == 0


@pytest.mark.parametrize('size', SIZES)
def test_teacher_and_student_train_for_600_effective_epochs_each(size):
    cfg = load_config(f'pretrain/baselines/seed_vit-{size}.py')
    length = cfg.train_cfg.max_iters
    assert length / cfg.epoch_length * VIEWS == TEACHER_EPOCHS
    ends = [scheduler.end for scheduler in cfg.param_scheduler[1:]]
    assert ends == [length, length]
    assert [s.begin + s.T_max for s in cfg.param_scheduler[1:]] == [length, length]
    steps = int(cfg.model.teacher.checkpoint.split('iter_')[1].removesuffix('.pth'))
    assert steps / cfg.epoch_length * MULTI_CROP == pytest.approx(TEACHER_EPOCHS, rel=1e-3)
    assert f'train_cfg.max_iters={steps}' in text(size)


@pytest.mark.parametrize('size', SIZES)
def test_the_docstring_has_the_papers_figures(size):
    rows = {label: cells[0].value for label, cells in zip(TABLE.rows, TABLE.cells, strict=True)}
    seed, dinov2, poa = (
        next(
            value
            for label, value in rows.items()
            if label.startswith(f'{method}, vit-{size}, epochs 1200')
        )
        for method in ('DINOv2+SEED', 'DINOv2', 'POA')
    )
    line = f'k-NN: {seed}; from scratch by DINOv2 {dinov2}, cut out of POA {poa}\n'
    assert line in text(size)
