"""The table of k-NN results."""

from rich.console import Console

from poa_mm.evaluation import KnnRow, knn_table

PIXELS = {'raw': 7.5, 'normalised': 8.5}


def make_row(width=384, depth=12, accuracy=76.78, untrained=None, pixels=None, name=''):
    return KnnRow(
        subnet=f'w{width}-d{depth}',
        name=name,
        width=width,
        depth=depth,
        params=21_665_664,
        feature='cls',
        accuracies={10: accuracy - 1, 20: accuracy, 200: accuracy - 2},
        untrained=untrained,
        pixels=pixels,
    )


def text(table):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_few_subnets_are_listed():
    shown = text(knn_table([make_row(name='vit-s'), make_row(768, accuracy=80.86)]))
    assert 'k = 20' in shown
    assert 'untrained' not in shown
    line = next(line for line in shown.splitlines() if 'vit-s' in line)
    assert [cell.strip() for cell in line.strip('│').split('│')] == [
        'w384-d12',
        'vit-s',
        '21.67',
        '76.8',
    ]


def test_baselines_are_listed_with_the_gain():
    rows = [make_row(untrained=10.06, pixels=PIXELS), make_row(768, untrained=80.0, pixels=PIXELS)]
    shown = text(knn_table(rows))
    assert '│      10.1 │ +66.7 │' in shown
    assert '│      80.0 │  -3.2 │' in shown
    assert 'gain over the untrained supernet -3.2 to +66.7' in shown
    assert 'raw pixels 7.5, normalised pixels 8.5' in shown


def test_many_subnets_become_a_matrix():
    rows = [
        make_row(width, depth, accuracy=width / 10 + depth, untrained=50.0, pixels=PIXELS)
        for depth in range(12, 17)
        for width in range(384, 705, 64)
    ]
    lines = text(knn_table(rows[:-1])).splitlines()
    header = next(line for line in lines if 'depth' in line and '384' in line)
    assert header.split('┃')[2].strip() == '384'
    cells = next(line for line in lines if line.startswith('│ 13')).strip('│').split('│')
    assert [float(cell) for cell in cells] == [13, 51.4, 57.8, 64.2, 70.6, 77.0, 83.4]
    last = next(line for line in lines if line.startswith('│ 16')).strip('│').split('│')
    assert last[-1].strip() == '', 'a sub-network that was not evaluated stays blank'
    assert any('raw pixels 7.5' in line for line in lines)


def test_many_subnets_of_stages_are_the_named_ones_and_some_of_the_front():
    rows = [
        KnnRow(
            subnet=f'w64-d3-4-{third}-3',
            name={6: 'resnet-50', 9: 'resnet-9'}.get(third, ''),
            width=64,
            depth=(3, 4, third, 3),
            params=third * 10**6,
            feature='cls',
            accuracies={20: 60.0 + (0 if third % 3 == 0 and third > 6 else third)},
        )
        for third in range(6, 56)
    ]
    shown = text(knn_table(rows))
    names = [line.split('│')[1].strip() for line in shown.splitlines() if line.startswith('│')]
    assert len(names) <= 24
    assert f'{len(names)} of 50' in shown
    assert names[0] == 'w64-d3-4-6-3'
    assert 'w64-d3-4-9-3' in names, 'a name, though smaller ones are better'
    assert names == sorted(names, key=lambda name: int(name.split('-')[3]))
    beaten = {f'w64-d3-4-{third}-3' for third in range(12, 56, 3)}
    assert not beaten & set(names)
