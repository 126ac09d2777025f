"""tools/pretrain_cost.py on tiny runs."""

import pytest
from helpers import CONFIG, load_config, load_tool

from poa_mm.elastic import Subnet
from poa_mm.selection import cost_rows
from poa_mm.selection.pretrain_cost import Assumptions, Measurement, cost_table
from poa_mm.selection.step_cost import batch_of, expected_step_cost, model_on_meta
from poa_mm.tables import read_csv

NAME = f'pretrain/{CONFIG.name}'


@pytest.fixture
def run(capsys):
    """Run the tool: exit code and what it printed."""
    main = load_tool('pretrain_cost').main

    def call(*args):
        code = main([str(arg) for arg in args])
        return code, capsys.readouterr()

    return call


def test_hours_and_memory_follow_from_flops_and_sizes():
    cfg = load_config(NAME)
    poa, alone = cost_rows([('tiny', cfg)], Assumptions('mine', peak=1e12, share=0.5))
    model = model_on_meta(cfg)
    cost = expected_step_cost(model, batch_of(cfg))
    assert (poa.name, poa.variant, poa.networks) == ('tiny', '', 9)
    assert (alone.variant, alone.networks) == ('elastic_student=False', 1)
    assert poa.flops == cost.flops > alone.flops
    assert poa.images == 1000 * 64  # steps and batch of the config
    assert poa.hours == pytest.approx(64_000 * cost.flops / 0.5e12 / 3600)
    student = [*model.backbone.parameters(), *model.head.parameters()]
    weights = 12 * sum(part.numel() for part in student)
    weights += 4 * sum(part.numel() for part in model.teacher.parameters())
    assert poa.memory == weights + cost.activation_bytes  # of float32
    cfg.optim_wrapper.dtype = 'bfloat16'
    half, _ = cost_rows([('tiny', cfg)], Assumptions('mine', peak=1e12, share=0.5))
    assert half.memory == weights + cost.activation_bytes / 2


def test_a_variant_has_one_row():
    cfg = load_config(NAME)
    cfg.model.update(type='POAV1')
    measure = Measurement(steps=1, device='cpu', images=2)
    (row,) = cost_rows([('v1', cfg)], Assumptions('mine', 1e12, 0.5), measure)
    assert (row.variant, row.networks) == ('', 9)
    assert row.flops == expected_step_cost(model_on_meta(cfg), batch_of(cfg)).flops
    assert row.measured.seconds > 0


def test_a_run_on_many_gpus_has_the_images_of_all():
    cfg = load_config('pretrain/baselines/dinov2_vit-s.py')
    (row,) = cost_rows([('vit-s', cfg)], Assumptions('mine', 1e12, 1.0))
    assert row.images == 346 * 800 * 1600
    assert row.batch_size == 50
    cfg.optim_wrapper.accumulative_counts = 2  # of twice as many iterations: on half of the GPUs
    cfg.train_cfg.max_iters *= 2
    (accumulated,) = cost_rows([('vit-s', cfg)], Assumptions('mine', 1e12, 1.0))
    assert accumulated.images == row.images


def test_networks_trained_alone_are_summed_up():
    cfgs = []
    for width in (32, 64):
        cfg = load_config(NAME)
        cfg.model.update(elastic_student=False)
        cfg.model.backbone.update(widths=[64], depths=[4])
        cfg.train_cfg.max_iters = 10 * width
        cfgs.append((f'w{width}', cfg))
    assert model_on_meta(cfg).backbone.space.intact == Subnet(64, 4)
    rows = list(cost_rows(cfgs, Assumptions('mine', 1e3, 1.0)))
    table = cost_table(rows)
    assert [cell for column in table.columns for cell in column.cells][2] == 'each network alone'
    hours = list(table.columns[4].cells)
    assert float(hours[2]) == pytest.approx(sum(row.hours for row in rows), rel=1e-3)


def test_steps_are_measured_and_written(run, tmp_path):
    path = tmp_path / 'cost.csv'
    options = ['--measure', 1, '--batch-size', 2, '--device', 'cpu', '--csv', path]
    settings = ['model.head.num_prototypes=[64]', 'optim_wrapper.type=GuardedAmpOptimWrapper']
    code, printed = run(CONFIG, *options, '--cfg-options', *settings)
    assert (code, printed.err) == (0, '')
    assert CONFIG.stem in printed.out.replace('\n', '')
    rows = read_csv(path, ['gpu_hours', 'measured_seconds'])
    assert [row['variant'] for row in rows] == ['', 'elastic_student=False']
    for row in rows:
        assert float(row['measured_seconds']) > 0
        hours = 64_000 / 2 * float(row['measured_seconds']) / 3600
        assert float(row['measured_gpu_hours']) == pytest.approx(hours, rel=1e-3)
        rate = float(row['flops_per_image']) * 2 / float(row['measured_seconds'])
        assert float(row['measured_flops_per_second']) == pytest.approx(rate, rel=1e-3)
        assert row['measured_peak_bytes'] == ''  # of GPUs alone
    code, printed = run(CONFIG, '--csv', path)
    assert (code, 'exists' in printed.err) == (2, True)
    assert read_csv(path, ['gpu']) == rows


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['none.py'], 'no config at none.py'),
        ([CONFIG, '--gpu', 'a1000'], 'gpu must be v100, a100, h100, h200 or its peak in TFLOP/s'),
        ([CONFIG, '--gpu', '-3'], "got '-3'"),
        ([CONFIG, '--cfg-options', 'train_dataloader.dataset.pipeline=[]'], 'has no MultiCrop'),
    ],
)
def test_mistakes(run, options, message):
    code, printed = run(*options)
    assert code == 2
    assert message in printed.err
    assert printed.err.count('\n') == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--share', '0'], '--share must be above 0 and at most 1, got 0.0'),
        (['--share', '1.5'], '--share must be above 0 and at most 1, got 1.5'),
        (['--measure', '0'], '--measure must be at least 1'),
    ],
)
def test_wrong_arguments(run, capsys, options, message):
    with pytest.raises(SystemExit):
        run(CONFIG, *options)
    assert message in capsys.readouterr().err
