"""Charts of the page, as figures of plotly without colours, which the page sets by its theme."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from poa_mm.elastic import Depth
from poa_mm.report.networks import NetworkPoint
from poa_mm.report.run import Curve
from poa_mm.report.scores import Scores
from poa_mm.selection.pick_inputs import format_amount
from poa_mm.tables import depth_cell
from poa_mm.visualization.frontier import pareto_front
from poa_mm.visualization.heat_map import LEAST_SPAN
from poa_mm.visualization.subnet_lines import subnet_lines

__all__ = ['curve_chart', 'frontier_chart', 'heat_map_chart', 'hover_text']

# Readable on light and dark ground, and to colour-blind eyes: Paul Tol's "bright" without yellow.
COLORS = ('#4477aa', '#ee6677', '#228833', '#aa3377', '#66ccee', '#cc8800')
MUTED = '#888888'
DASHES = ('dot', 'dashdot', 'dash')
MARGIN = {'l': 60, 'r': 15, 't': 15, 'b': 55}


def hover_text(point: NetworkPoint) -> str:
    """Write what appears beside a sub-network's point, in the HTML that plotly knows."""
    name = f' ({point.name})' if point.name else ''
    lines = [f'<b>{escape(point.subnet + name)}</b>']
    lines += [f'{what}: {escape(text)}' for what, text in point.texts().items()]
    return '<br>'.join(lines)


def curve_chart(curves: Mapping[str, Curve], ylabel: str, shown: int | None = None) -> go.Figure:
    """Draw values over iterations.

    Args:
        curves: Points (iteration, value) by name.
        ylabel: What the values are, with their unit.
        shown: How many of the curves are drawn at first; all by default.
    """
    figure = go.Figure()
    for number, (name, points) in enumerate(curves.items()):
        hidden = shown is not None and number >= shown
        figure.add_scatter(
            x=[step for step, _ in points],
            y=[value for _, value in points],
            name=escape(name),
            mode='lines+markers' if len(points) < 30 else 'lines',
            line={'color': COLORS[number % len(COLORS)], 'width': 2},
            visible='legendonly' if hidden else True,
        )
    return _laid_out(figure, 'iteration', ylabel)


def frontier_chart(points: Sequence[NetworkPoint], scores: Scores) -> go.Figure:
    """Draw accuracy over parameters: a line for each depth along which the width grows.

    With elastic stages (ResNet), a line has one width. Rings mark the Pareto front. The last trace
    is the choice, which the page moves.

    Args:
        points: Sub-networks; those without an accuracy are left out.
        scores: What was measured, for labels and for the pixels' levels.
    """
    rows = [point for point in points if point.accuracy is not None]
    figure = go.Figure()
    lines = subnet_lines(rows)
    shades = _shades([line.color for line in lines])
    kind = 'width' if isinstance(rows[0].depth, tuple) else 'depth'
    named: set[int] = set()
    for color, indices in lines:
        figure.add_scatter(
            x=[rows[i].params for i in indices],
            y=[rows[i].accuracy for i in indices],
            customdata=[rows[i].subnet for i in indices],
            text=[hover_text(rows[i]) for i in indices],
            hovertemplate='%{text}<extra></extra>',
            mode='lines+markers',
            name=f'{kind} {color}',
            legendgroup=str(color),
            showlegend=color not in named,
            line={'color': shades[color], 'width': 1.5},
            marker={'size': 8},
        )
        named.add(color)
    _add_baselines(figure, rows, scores)
    front = pareto_front([_Measured.of(row) for row in rows])
    _add_rings(
        figure, 'Pareto front', [one.params for one in front], [one.accuracy for one in front]
    )
    _add_rings(figure, 'chosen', [], [], size=20, width=3)
    figure = _laid_out(figure, 'parameters', scores.label)
    if rows and rows[-1].params > 4 * rows[0].params:
        ticks = _round_numbers(rows[0].params, rows[-1].params)
        texts = [format_amount('params', tick).split(' param')[0] for tick in ticks]
        figure.update_xaxes(type='log', tickvals=ticks, ticktext=texts)
    return figure


def heat_map_chart(points: Sequence[NetworkPoint], scores: Scores) -> go.Figure:
    """Draw the accuracy of each sub-network, depths by widths (as the paper's Table 13)."""
    rows = [point for point in points if point.accuracy is not None]
    widths = sorted({row.width for row in rows})
    depths = sorted({depth_cell(row.depth): row.depth for row in rows}.items(), key=_blocks)
    by_place = {(row.width, row.depth): row for row in rows}
    grid = [[by_place.get((width, depth)) for width in widths] for _, depth in depths]
    values = [row.accuracy for row in rows if row.accuracy is not None]
    spare = max(0.0, LEAST_SPAN - (max(values) - min(values))) / 2
    few = len(rows) <= 200
    figure = go.Figure(
        go.Heatmap(
            z=[[one and one.accuracy for one in line] for line in grid],
            x=[str(width) for width in widths],
            y=[cell for cell, _ in depths],
            customdata=[[one.subnet if one else '' for one in line] for line in grid],
            text=[[hover_text(one) if one else '' for one in line] for line in grid],
            texttemplate='%{z:.1f}' if few else '',
            hovertemplate='%{text}<extra></extra>',
            hoverongaps=False,
            colorscale='Viridis',
            zmin=min(values) - spare,
            zmax=max(values) + spare,
            colorbar={'thickness': 12, 'title': {'text': '%', 'side': 'top'}},
            xgap=2,
            ygap=2,
        )
    )
    figure = _laid_out(figure, 'width (channels)', 'depth (blocks)')
    figure.update_xaxes(type='category', showgrid=False)
    figure.update_yaxes(type='category', showgrid=False, autorange='reversed')
    return figure


class _Measured(NamedTuple):
    """What the Pareto front is of: points that have an accuracy."""

    name: str
    width: int
    depth: Depth
    params: int
    accuracy: float

    @classmethod
    def of(cls, point: NetworkPoint) -> '_Measured':
        assert point.accuracy is not None
        return cls(point.name, point.width, point.depth, point.params, point.accuracy)


def _shades(groups: Sequence[int]) -> dict[int, str]:
    """Give groups colours: distinct ones if they are few, else in their order."""
    groups = list(dict.fromkeys(groups))
    colors: Sequence[str] = COLORS
    if len(groups) > len(COLORS):
        # Not the ends of the scale, which vanish on dark or light ground.
        places = [0.25 + 0.6 * n / (len(groups) - 1) for n in range(len(groups))]
        colors = sample_colorscale('Viridis', places)
    return dict(zip(groups, colors, strict=False))


def _round_numbers(low: float, high: float) -> list[int]:
    """List 1, 2 and 5 times the powers of ten within a range.

    Example:
        >>> _round_numbers(30_000, 250_000)
        [50000, 100000, 200000]
    """
    powers = range(int(math.log10(low)), int(math.log10(high)) + 1)
    numbers = [share * 10**power for power in powers for share in (1, 2, 5)]
    return [number for number in numbers if low <= number <= high]


def _blocks(cell: tuple[str, object]) -> tuple[int, list[int]]:
    """Order depths by their number of blocks."""
    stages = [int(part) for part in cell[0].split('-')]
    return sum(stages), stages


def _add_baselines(figure: go.Figure, rows: Sequence[NetworkPoint], scores: Scores) -> None:
    untrained = [row for row in rows if row.untrained is not None]
    if untrained:
        figure.add_scatter(
            x=[row.params for row in untrained],
            y=[row.untrained for row in untrained],
            customdata=[row.subnet for row in untrained],
            text=[hover_text(row) for row in untrained],
            hovertemplate='%{text}<extra>untrained</extra>',
            mode='markers',
            name='untrained network',
            marker={'color': MUTED, 'symbol': 'x', 'size': 6},
        )
    for dash, (kind, value) in zip(DASHES, scores.pixels.items(), strict=False):
        figure.add_scatter(
            x=[rows[0].params, rows[-1].params],
            y=[value, value],
            hovertemplate=f'{escape(kind)}: {value:.1f} %<extra></extra>',
            mode='lines',
            name=escape(kind),
            line={'color': MUTED, 'dash': dash, 'width': 1.5},
        )


def _add_rings(
    figure: go.Figure,
    name: str,
    x: Sequence[float],
    y: Sequence[float],
    size: int = 13,
    width: float = 1.2,
) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        mode='markers',
        name=name,
        hoverinfo='skip',
        marker={'symbol': 'circle-open', 'size': size, 'line': {'width': width}, 'color': MUTED},
    )


def _laid_out(figure: go.Figure, xlabel: str, ylabel: str) -> go.Figure:
    figure.update_layout(
        template='none',
        margin=MARGIN,
        legend={'orientation': 'h', 'y': -0.22, 'x': 0},
        hovermode='closest',
        dragmode=False,  # so that a finger scrolls the page
    )
    figure.update_xaxes(title=xlabel, zeroline=False, automargin=True)
    figure.update_yaxes(title=ylabel, zeroline=False, automargin=True)
    return figure
