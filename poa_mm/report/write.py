"""Collect what is known of a checkpoint and write it as one page."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from mmengine.config import Config

from poa_mm.checkpoints import load_supernet
from poa_mm.checkpoints.preprocessing import Preprocessing, preprocessing_of
from poa_mm.cli import beside
from poa_mm.evaluation.results import Result, read_results
from poa_mm.files import check_free, replaced
from poa_mm.models.backbones import ElasticBackbone
from poa_mm.report.about import cost_facts, evaluation_facts, read_facts
from poa_mm.report.embeddings import save_embeddings
from poa_mm.report.measure import knn_of_folders
from poa_mm.report.networks import NetworkPoint, network_points
from poa_mm.report.own_images import (
    Gallery,
    Tile,
    images_folder,
    is_split,
    make_gallery,
    sized_features,
)
from poa_mm.report.packages import EMBEDDINGS, PAGE, check_packages
from poa_mm.report.page import LIMIT, Page, render
from poa_mm.report.pictures import beside_checkpoint, picture_files, small_picture
from poa_mm.report.run import RunLog, read_run
from poa_mm.report.scores import Scores, find_results, scores_of
from poa_mm.selection.pick_inputs import profile_from_csv

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ['Sources', 'write_report']


@dataclass(frozen=True)
class Sources:
    """Where the parts of a report come from.

    Args:
        data: Folder of images, for neighbours; with ``train`` and ``val`` in it, which have a
            sub-folder for each class, also for k-NN accuracies where ``results`` have none.
        results: Files of results of ``tools/eval_knn.py``; by default those in the folders beside
            the checkpoint.
        profile: Table of ``tools/profile_subnets.py``, for latencies; by default the one beside
            the checkpoint, if any.
        run: Work dir of the training run; by default the checkpoint's folder.
        pictures: Images to show, or folders with some; by default those that
            ``tools/visualize.py`` has drawn beside the checkpoint.
        embeddings: File to write features of the images into, ``*.parquet``.
        device: Where to compute; by default the CPU.
        workers: Processes that read images.
    """

    data: Path | None = None
    results: Sequence[Path] = ()
    profile: Path | None = None
    run: Path | None = None
    pictures: Sequence[Path] = field(default_factory=tuple)
    embeddings: Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device('cpu'))
    workers: int = 0


def write_report(
    checkpoint: str | PathLike,
    out: str | PathLike,
    sources: Sources | None = None,
    overwrite: bool = False,
) -> Page:
    """Write one HTML file about a training checkpoint; it opens from disk without a network.

    Args:
        checkpoint: Training checkpoint.
        out: File to write; it appears complete or not at all.
        sources: Where its parts come from.
        overwrite: Replace an existing file.

    Returns:
        What the page shows.

    Raises:
        FileExistsError: A file to write exists and ``overwrite`` is not set.
        FileNotFoundError: A file or folder is missing.
        ModuleNotFoundError: A package of the extra ``report`` is missing.
        ValueError: Not a checkpoint of POA, a source that does not fit it, or a page that would
            exceed 6 MB.
    """
    path, sources = Path(checkpoint), sources or Sources()
    check_packages([*PAGE, *(EMBEDDINGS if sources.embeddings else ())])
    for file in filter(None, (Path(out), sources.embeddings)):
        check_free(file, overwrite)
    backbone = load_supernet(path)
    page = _page(path, backbone, sources)
    text = render(page)
    if len(text.encode()) > LIMIT:
        size = len(text.encode()) / 1e6
        raise ValueError(f'the page would have {size:.1f} MB, of 6: give fewer --pictures')
    with replaced(out) as partial:
        partial.write_text(text, encoding='utf-8')
    return page


def _page(path: Path, backbone: ElasticBackbone, sources: Sources) -> Page:
    config: Mapping = backbone.run_config or {}
    preprocessing = preprocessing_of(backbone, config)
    facts = read_facts(path, config)
    scores = scores_of(_results(path, facts.sha256, backbone, preprocessing, sources), facts.sha256)
    table = sources.profile or beside(path, 'profile') / 'profile.csv'
    timed = sources.profile is not None or table.is_file()
    profile = profile_from_csv(table, backbone) if timed else None
    points = network_points(backbone, preprocessing.image_size, scores, profile)
    run = read_run(sources.run or path.parent, facts.iteration)
    has_scores = scores is not None and any(point.accuracy is not None for point in points)
    has_latency = any(point.latency is not None for point in points)
    conditions = {str(one.conditions) for one in (profile or {}).values()} if has_latency else set()
    return Page(
        title=path.name,
        lead=f'{len(points)} networks from one pre-training: pick one by what you can afford.',
        networks=points,
        commands={point.subnet: _command(path, point) for point in points},
        charts=_charts(points, scores if has_scores else None, run),
        facts=facts.rows(backbone, points),
        scores=evaluation_facts(scores) if scores is not None and has_scores else (),
        cost=cost_facts(run) if run else (),
        config=Config(dict(config)).pretty_text if config else '',
        conditions=next(iter(conditions), ''),
        gallery=_gallery(backbone, points, preprocessing, sources),
        pictures=_pictures(path, sources),
        missing=_missing(path),
    )


def _results(
    path: Path,
    sha256: str,
    backbone: ElasticBackbone,
    preprocessing: Preprocessing,
    sources: Sources,
) -> list[Result]:
    """Read the results of this checkpoint, or measure them on the user's own images."""
    found = list(read_results(*(sources.results or find_results(path))))
    data = sources.data
    if scores_of(found, sha256) is None and data is not None and is_split(data):
        return knn_of_folders(
            backbone, path, sha256, data, preprocessing, sources.device, sources.workers
        )
    return found


def _charts(
    points: Sequence[NetworkPoint], scores: Scores | None, run: RunLog | None
) -> 'dict[str, Figure]':
    from poa_mm.report.charts import curve_chart, frontier_chart, heat_map_chart

    charts: dict[str, Figure] = {}
    if scores is not None:
        charts |= {
            'frontier': frontier_chart(points, scores),
            'grid': heat_map_chart(points, scores),
        }
    if run is not None and run.losses:
        charts['losses'] = curve_chart(run.losses, 'loss', shown=1)
    if run is not None and run.accuracies:
        charts['curves'] = curve_chart(run.accuracies, 'k-NN top-1 accuracy (%)')
    return charts


def _gallery(
    backbone: ElasticBackbone,
    points: Sequence[NetworkPoint],
    preprocessing: Preprocessing,
    sources: Sources,
) -> Gallery | None:
    if sources.data is None:
        return None
    folder = images_folder(sources.data)
    features = sized_features(
        backbone, points, folder, preprocessing, sources.device, sources.workers
    )
    if sources.embeddings is not None:
        save_embeddings(sources.embeddings, list(features.values())[-1], folder)
    total = len(next(iter(features.values())).paths)
    return make_gallery(features, points, folder) if total > 1 else None


def _pictures(path: Path, sources: Sources) -> list[Tile]:
    paths = sources.pictures or beside_checkpoint(path)
    return [small_picture(one) for one in picture_files(paths)]


def _command(path: Path, point: NetworkPoint) -> str:
    return shlex.join(['python', 'tools/extract_subnet.py', str(path), point.subnet])


def _missing(path: Path) -> dict[str, str]:
    """Say of each part how to get it."""
    checkpoint = shlex.quote(str(path))
    return {
        'scores': f'No accuracies of this checkpoint were found: run python tools/eval_knn.py '
        f'{checkpoint}, or give --data a folder with train and val in it.',
        'latency': f'No latencies: run python tools/profile_subnets.py {checkpoint} --latency.',
        'run': 'No scalars of the run lie beside the checkpoint: give --run the work dir of its '
        'training.',
        'curves': 'No k-NN accuracies were logged while training: add KnnMonitorHook to the '
        "config's custom_hooks.",
        'gallery': 'No images: give --data a folder with two or more.',
        'pictures': f'None: run python tools/visualize.py attention {checkpoint} FOLDER, also '
        'with pca or prototypes, or give --pictures.',
    }
