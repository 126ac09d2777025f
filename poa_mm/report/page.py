"""Put the page together: one HTML file that holds all it needs and may load nothing."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING

from poa_mm.report.networks import NetworkPoint
from poa_mm.report.own_images import Gallery, Tile
from poa_mm.selection.pick_inputs import format_amount
from poa_mm.version import __version__

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ['LIMIT', 'Page', 'render', 'script_safe']

LIMIT = 6_000_000  # bytes
KINDS = {'params': 'parameters', 'flops': 'FLOPs', 'latency': 'latency'}
RULES = {
    True: 'The most accurate sub-network within the budget, and the smallest of equal ones.',
    False: 'The largest sub-network within the budget, as no accuracies are known.',
}


@dataclass(frozen=True)
class Page:
    """What the page shows; an empty part leaves a sentence that says how to get it.

    Args:
        title: Heading.
        lead: Line below it.
        networks: Sub-networks, from small to large.
        commands: Of each sub-network, the command that extracts it.
        charts: Figures by name: ``frontier``, ``grid``, ``losses``, ``curves``.
        facts: What was trained on what.
        scores: How the accuracies were measured.
        cost: What training took.
        config: Text of the run's config.
        conditions: Of the latencies, if there are any.
        gallery: Neighbours across sizes.
        pictures: Others, such as attention maps.
        missing: Sentences on how to get a missing part, by its name.
    """

    title: str
    lead: str
    networks: Sequence[NetworkPoint]
    commands: Mapping[str, str]
    charts: Mapping[str, 'Figure']
    facts: Sequence[tuple[str, str]]
    scores: Sequence[tuple[str, str]] = ()
    cost: Sequence[tuple[str, str]] = ()
    config: str = ''
    conditions: str = ''
    gallery: Gallery | None = None
    pictures: Sequence[Tile] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether accuracies are known."""
        return any(network.accuracy is not None for network in self.networks)

    def data(self) -> dict[str, object]:
        """Return what the script of the page works with, as plain data."""
        kinds = self.kinds()
        candidates = [
            network
            for network in self.networks
            if not self.measured or network.accuracy is not None
        ]
        return {
            'measured': self.measured,
            'networks': [
                {
                    'subnet': network.subnet,
                    'name': network.name,
                    'params': network.params,
                    'flops': network.flops,
                    'latency': network.latency,
                    'accuracy': network.accuracy,
                    'untrained': network.untrained,
                    'summary': ', '.join(
                        f'{what} {text}' for what, text in network.texts().items()
                    ),
                    'command': self.commands[network.subnet],
                }
                for network in self.networks
            ],
            'stops': {kind: _stops(kind, candidates) for kind in kinds},
            'charts': {name: figure.to_plotly_json() for name, figure in self.charts.items()},
        }

    def kinds(self) -> dict[str, str]:
        """Return the kinds of budgets: latency only if it is known of all sub-networks."""
        timed = all(network.latency is not None for network in self.networks)
        return {kind: name for kind, name in KINDS.items() if kind != 'latency' or timed}

    def columns(self) -> list[str]:
        """Return the columns of the table of all sub-networks."""
        return list(dict.fromkeys(what for network in self.networks for what in network.texts()))


def render(page: Page) -> str:
    """Write the page as HTML.

    All text is escaped. A policy in its head (CSP) forbids the browser to load or send anything,
    and to run other scripts than the page's own.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    folder = files('poa_mm.report')
    css, script, template = (
        (folder / f'page.{suffix}').read_text(encoding='utf-8') for suffix in ('css', 'js', 'html')
    )
    library = get_plotlyjs()
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(template).render(
        policy=_policy([library, script]),
        css=Markup(css),
        data=Markup(script_safe(page.data())),
        library=Markup(library),
        script=Markup(script),
        version=__version__,
        title=page.title,
        lead=page.lead,
        rule=RULES[page.measured],
        kinds=page.kinds(),
        columns=page.columns(),
        networks=page.networks,
        losses='losses' in page.charts,
        curves='curves' in page.charts,
        **{
            name: getattr(page, name)
            for name in (
                *('facts', 'scores', 'cost', 'config', 'conditions'),
                *('gallery', 'pictures', 'missing'),
            )
        },
    )


def script_safe(data: object) -> str:
    r"""Write data as JSON that cannot end the script element which it stands in.

    Raises:
        ValueError: A number is not finite, which JSON does not have.

    Example:
        >>> script_safe('</script>')
        '"\\u003c/script\\u003e"'
    """
    text = json.dumps(data, allow_nan=False, default=list, separators=(',', ':'))
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def _policy(scripts: Sequence[str]) -> str:
    """Allow these scripts, styles and pictures within the page, and nothing else."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = ' '.join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _stops(kind: str, networks: Sequence[NetworkPoint]) -> list[dict[str, object]]:
    """List where a budget's slider stops: at what each sub-network costs."""
    limits = sorted({getattr(network, kind) for network in networks})
    return [
        {'limit': limit, 'text': format_amount(kind, limit).removesuffix(' parameters')}
        for limit in limits
    ]
