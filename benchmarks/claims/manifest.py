"""The runs, and the paper's claims that compare them. Data only: what runs are for is in claims."""

from dataclasses import dataclass, field
from typing import Any

SMALLEST, SMALL = ('w32-d2',), ('w32-d2', 'w32-d4')
MIDDLE, INTACT = ('w64-d4',), ('w96-d6',)
ALL = (*SMALL, *MIDDLE, *INTACT)
STEPS = 1000


@dataclass(frozen=True)
class Run:
    """A way of pre-training.

    Args:
        changes: Settings that differ from poa_vit-tiny_claims.py, by their path.
        networks: Sub-networks to measure.
        steps: Length; 0 measures random weights, and pixels beside them.
        teacher: Run of the same seed whose intact network SEED distils; ``''`` for other methods.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    networks: tuple[str, ...] = ALL
    steps: int = STEPS
    teacher: str = ''


@dataclass(frozen=True)
class Part:
    """A term of a difference: the mean accuracy of some networks of a run.

    Args:
        run: Its name.
        networks: Whose accuracies are averaged.
        sign: 1 or -1.
    """

    run: str
    networks: tuple[str, ...]
    sign: int = 1


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and the difference that it says the sign of.

    Args:
        name: Short, for plots.
        sentence: What the paper says.
        parts: The difference, in points of k-NN accuracy, is their sum.
        expected: ``'+'`` above zero; ``'='`` within the margin of zero; ``'>='`` not below zero by
            more than the margin; ``'<='`` a ratio of two costs not above ``bound``.
        paper: The paper's figures and where they stand.
        bound: Of a ratio of FLOPs, of the first part's run over the second's.
    """

    name: str
    sentence: str
    parts: tuple[Part, ...]
    expected: str
    paper: str
    bound: float | None = None


def _alone(width: int, depth: int) -> dict[str, Any]:
    """Return what makes a network of its own of a sub-network."""
    return {
        'model.elastic_student': False,
        'model.backbone.arch.embed_dims': width,
        'model.backbone.arch.num_layers': depth,
        'model.backbone.arch.num_heads': width // 16,
        'model.backbone.arch.feedforward_channels': 4 * width,
        'model.backbone.widths': [width],
        'model.backbone.depths': [depth],
    }


def _minus(first: str, second: str, networks: tuple[str, ...], sign: int = 1) -> tuple[Part, Part]:
    return Part(first, networks, sign), Part(second, networks, -sign)


NO_MPH = {'model.head.num_prototypes': [128]}
# In the order in which they are trained: what most claims compare with comes first.
RUNS = {
    'untrained': Run(steps=0),
    'poa': Run(),
    'alone-smallest': Run(_alone(32, 2), SMALLEST),
    'dinov2': Run({'model.elastic_student': False}, INTACT),
    'no-mph': Run(NO_MPH),
    'no-mph_no-es2': Run({**NO_MPH, 'model.elastic_from_intact': False}),
    'no-mph_no-es1': Run({**NO_MPH, 'model.elastic_from_teacher': False}),
    'no-alpha': Run({'model.backbone.alpha_scaling': False}),
    'gamma-1': Run({'model.backbone.gamma': 1.0}),
    'candidates-9': Run(
        {'model.backbone.widths': [32, 64, 96], 'model.backbone.depths': [2, 4, 6]}
    ),
    'lambda-06': Run({'model.intact_weight': 0.6}),
    'lambda-09': Run({'model.intact_weight': 0.9}),
    'v1': Run({'model.type': 'POAV1'}),
    'v2': Run({'model.type': 'POAV2'}),
    'v3': Run({'model.type': 'POAV3'}),
    'alone-middle': Run(_alone(64, 4), MIDDLE),
    'seed-smallest': Run(_alone(32, 2), SMALLEST, teacher='dinov2'),
    # As many FLOPs as a run of POA, which trains all sub-networks.
    'alone-middle-flops': Run(_alone(64, 4), MIDDLE, 3546),
    'alone-smallest-flops': Run(_alone(32, 2), SMALLEST, 13791),
}
CLAIMS = (
    Claim(
        'trained at all',
        'Pre-training makes sub-networks better than random weights, on average over four.',
        _minus('poa', 'untrained', ALL),
        '+',
        'not in the paper: what all other rows rest on',
    ),
    Claim(
        'smallest > alone',
        'The smallest sub-network is better than the same network trained alone, in as many steps.',
        _minus('poa', 'alone-smallest', SMALLEST),
        '+',
        'ViT-S 76.8 against 72.2 (Table 4)',
    ),
    Claim(
        'middle > alone',
        'A sub-network of middle size is better than the same network trained alone.',
        _minus('poa', 'alone-middle', MIDDLE),
        '+',
        'ViT-B 80.9 against 77.4 (Table 4)',
    ),
    Claim(
        'middle > alone, FLOPs',
        'So it is when that trains for as many FLOPs as POA does for all its sub-networks.',
        _minus('poa', 'alone-middle-flops', MIDDLE),
        '+',
        'not in the paper; ViT-S of 1,200 epochs beats others of 3,200 (App. D.10)',
    ),
    Claim(
        'smallest > alone, FLOPs',
        'So is the smallest one.',
        _minus('poa', 'alone-smallest-flops', SMALLEST),
        '+',
        'not in the paper; ViT-S of 1,200 epochs beats others of 3,200 (App. D.10)',
    ),
    Claim(
        'smallest > SEED',
        'The smallest sub-network is better than one that SEED distils from what DINOv2 trained.',
        _minus('poa', 'seed-smallest', SMALLEST),
        '+',
        'ViT-S 76.8 against 74.0 (Sec. 4.4, Table 4); SEED has as many steps again here',
    ),
    Claim(
        'intact ≥ DINOv2',
        'The intact network is not worse than one that DINOv2 trains, without an elastic student.',
        _minus('poa', 'dinov2', INTACT),
        '>=',
        'ViT-L 82.3 against 82.0 (Table 20)',
    ),
    Claim(
        'MPH helps small',
        'Several projection heads are better than one, for small networks.',
        _minus('poa', 'no-mph', SMALL),
        '+',
        'ViT-S 76.8 against 76.2 (Table 3)',
    ),
    Claim(
        'L_ES2 helps small',
        'Without the same-view loss, small networks are worse (one head, as in Table 3).',
        _minus('no-mph', 'no-mph_no-es2', SMALL),
        '+',
        'ViT-S 76.2 against 72.8 (Table 3)',
    ),
    Claim(
        'L_ES2: small > intact',
        'The same-view loss matters more for small networks than for the intact one (one head).',
        (
            *_minus('no-mph', 'no-mph_no-es2', SMALL),
            *_minus('no-mph', 'no-mph_no-es2', INTACT, -1),
        ),
        '+',
        '3.4 points for ViT-S against 0.1 for ViT-L (Table 3)',
    ),
    Claim(
        'L_ES2 > L_ES1',
        'The same-view loss matters more than the cross-view one, for small networks (one head).',
        _minus('no-mph_no-es1', 'no-mph_no-es2', SMALL),
        '+',
        'ViT-S 75.1 without L_ES1 against 72.8 without L_ES2 (Table 3)',
    ),
    Claim(
        'POA > V1',
        'Without the intact student and with an elastic teacher (V1), networks are worse.',
        _minus('poa', 'v1', ALL),
        '+',
        'ViT-S 76.8 against 73.7, ViT-L 82.3 against 79.2 (Table 5)',
    ),
    Claim(
        'POA > V2',
        'Without the intact student (V2), networks are worse.',
        _minus('poa', 'v2', ALL),
        '+',
        'ViT-S 76.8 against 74.3, ViT-L 82.3 against 80.9 (Table 5)',
    ),
    Claim(
        'V3 ≈ POA',
        'A further, elastic teacher (V3) changes little.',
        _minus('v3', 'poa', ALL),
        '=',
        'ViT-S 76.9 against 76.8, ViT-L 82.3 both (Table 5)',
    ),
    Claim(
        'α helps narrow',
        'Scaling reduced inputs by α makes narrow networks better.',
        _minus('poa', 'no-alpha', SMALL),
        '+',
        'ViT-S 76.8 against 75.3 (Table 16)',
    ),
    Claim(
        'γ = 3 helps small',
        'Drawing small networks more often, γ = 3 in place of 1, makes them better.',
        _minus('poa', 'gamma-1', SMALL),
        '+',
        'ViT-S 76.8 against 75.8 (Table 18)',
    ),
    Claim(
        'fewer candidates: small',
        'Fewer candidates, 9 in place of 25, make the small networks better.',
        _minus('candidates-9', 'poa', SMALL),
        '+',
        'ViT-S 77.7 of 20 candidates against 76.8 of 143 (Table 19)',
    ),
    Claim(
        'fewer candidates: intact',
        'Fewer candidates change the intact network little.',
        _minus('candidates-9', 'poa', INTACT),
        '=',
        'ViT-L 82.4 of 20 candidates against 82.3 of 143 (Table 19)',
    ),
    Claim(
        'λ 0.8 > 0.9: small',
        'λ = 0.8 makes small networks better than 0.9 does.',
        _minus('poa', 'lambda-09', SMALL),
        '+',
        'ViT-S 76.8 against 75.3 (Table 17)',
    ),
    Claim(
        'λ 0.8 > 0.6: intact',
        'λ = 0.8 makes the intact network better than 0.6 does.',
        _minus('poa', 'lambda-06', INTACT),
        '+',
        'ViT-L 82.3 against 82.0 (Table 17)',
    ),
    Claim(
        'cost ≤ 1.3 × DINOv2',
        'A step of POA costs at most 1.3 times the FLOPs of one of DINOv2.',
        (Part('poa', INTACT), Part('dinov2', INTACT, -1)),
        '<=',
        'Table 20 has GPU hours of whole runs alone, on other batches',
        bound=1.3,
    ),
)
