"""tools/train.py with POA-V1 and V3, and the hooks of a full-size run; V2 is V1 but for a name."""

import json
import sys

import pytest
import torch
from helpers import CONFIG, globals_of_mmengine_restored, load_tool
from tool_outcome import outcome

import poa_mm

TEXT = """
_base_ = {base!r}
model = dict(type={name!r}, koleo_weight=0.1, ibot_weight=1.0)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(patches_per_photo=1),
)
train_cfg = dict(max_iters=4)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
knn_train_dataset = dict(patches_per_photo=3)
knn_test_dataset = dict(patches_per_photo=1)
custom_hooks = [
    dict(type='POAHook', ibot_start_epoch=0, freeze_last_layer_epochs=0),
    dict(type='StepSeedHook'),
    dict(type='SupernetInfoHook'),
    dict(type='ThroughputHook'),
    dict(type='CollapseHook', interval=2),
    dict(type='KnnMonitorHook', interval=4, subnets=['smallest'], k=5, num_workers=0),
]
"""
STUDENT = {'elastic_global', 'elastic_local', 'elastic_patch', 'elastic_koleo'}
TERMS = {
    'POAV1': STUDENT,
    'POAV3': STUDENT
    | {f'intact_{term}' for term in ('global', 'local', 'patch', 'koleo')}
    | {f'elastic_teacher_{term}' for term in ('global', 'local', 'patch')}
    | {'same_view_global', 'same_view_local'},
}


@pytest.fixture(scope='module', params=TERMS)
def runs(request, tmp_path_factory):
    """A run of four steps, and one that goes on with the checkpoint after two of them."""
    folder = tmp_path_factory.mktemp(request.param)
    config = folder / 'variant.py'
    config.write_text(TEXT.format(base=str(CONFIG), name=request.param))
    tool = load_tool('train')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for work_dir, options in (('whole', []), ('rest', ['--resume', 'whole/iter_2.pth'])):
            patch.setattr(sys, 'argv', ['train.py', str(config), '--work-dir', work_dir, *options])
            with globals_of_mmengine_restored():
                assert outcome(tool.main) is None
    return request.param, folder


def logged(folder):
    """Scalars of the training steps, from the file that the run writes."""
    (path,) = folder.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if 'loss' in row]


def test_a_resumed_run_ends_with_the_same_bits(runs):
    _, folder = runs
    whole, rest = (
        torch.load(folder / name / 'iter_4.pth', weights_only=False) for name in ('whole', 'rest')
    )
    assert whole['state_dict'].keys() == rest['state_dict'].keys()
    for name, value in whole['state_dict'].items():
        assert torch.equal(rest['state_dict'][name], value), name
    before = torch.load(folder / 'whole' / 'iter_2.pth', weights_only=False)['state_dict']
    assert any(not torch.equal(before[name], value) for name, value in whole['state_dict'].items())
    for index, state in whole['optimizer']['state'].items():
        for key, value in state.items():
            assert torch.equal(rest['optimizer']['state'][index][key], value), (index, key)


def test_every_term_and_every_hook_is_in_the_log(runs):
    name, folder = runs
    whole, rest = (logged(folder / run) for run in ('whole', 'rest'))
    assert [row['loss'] for row in rest] == [row['loss'] for row in whole[2:]]
    of_students = ('intact_', 'elastic_', 'same_view_')
    assert {term for term in whole[0] if term.startswith(of_students)} == TERMS[name]
    assert all(row[term] > 0 for row in whole for term in TERMS[name] if 'koleo' not in term)
    assert 1 <= whole[-1]['rankme'] <= 64
    curve = (folder / 'whole' / 'knn_curve.csv').read_text().splitlines()
    assert [line.rsplit(',', 1)[0] for line in curve[1:]] == ['4,smallest,5']


def test_the_checkpoint_opens_and_sub_networks_leave_it(runs, tmp_path):
    _, folder = runs
    checkpoint = folder / 'whole' / 'iter_4.pth'
    teacher = poa_mm.load_supernet(checkpoint)
    path = tmp_path / 'smallest.pth'
    assert load_tool('extract_subnet').main([str(checkpoint), 'smallest', str(path)]) == 0
    net = poa_mm.load_backbone(path)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(net(images)[0], teacher(images, 'smallest')[0])
