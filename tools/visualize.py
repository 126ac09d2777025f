#!/usr/bin/env python
"""Draw what networks see: attention, components of patches, matches, neighbours, prototypes.

CHECKPOINT is a supernet's checkpoint, the file of an extracted or exported network, or a model of
timm. Beside each picture (*.png, *.svg, *.pdf) lies a file with the data behind it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poa_mm import cli
from poa_mm.evaluation import command_line
from poa_mm.evaluation.what import check_what
from poa_mm.files import check_folder, check_free

if TYPE_CHECKING:
    from poa_mm.evaluation import Measured, Network
    from poa_mm.evaluation.pictures.shown_images import ShownImage

NEAR = 'nearest neighbours of an image, for several sub-networks'
ATTRACTED = 'images and patches near prototypes of the projection head'
POSITIVE = ('image_size', 'max_images', 'pairs', 'k', 'number', 'top', 'batch_size')
MATCHES = 'patches of two images that match'
INPUTS = {
    'attention': 'IMAGE|FOLDER …',
    'pca': 'IMAGE|FOLDER …',
    'correspondences': 'IMAGE [IMAGE]',
    'neighbours': 'QUERY FOLDER',
    'prototypes': 'FOLDER',
}
SUFFIXES = ('.png', '.svg', '.pdf')
NO_ATTENTION = 'attends to no whole image that could be watched: drawn is the PCA of its patches'
INSTEAD = 'Principal components of patches, for want of attention to the whole image'
EPILOG = 'KIND --help tells the options of a kind; all have --out, --overwrite, --traceback.'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, usage='%(prog)s KIND CHECKPOINT … [options]'
    )
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True, prog=parser.prog)
    add_images(add_kind(kinds, 'attention', attention, 'heads of the last block, in colours'))
    pca = add_images(add_kind(kinds, 'pca', draw_pca, 'patch tokens as colours'))
    pca.add_argument('--foreground', action='store_true', help='leave the background out')
    pairs = add_kind(kinds, 'correspondences', correspondences, MATCHES, data='.csv')
    pairs.add_argument('images', nargs='+', metavar='IMAGE', help='one, or two')
    pairs.add_argument('--pairs', type=int, default=20, metavar='N', help='at most (default: 20)')
    pairs.add_argument('--seed', type=int, default=0, help='of two views of one image (default: 0)')
    near = add_kind(kinds, 'neighbours', neighbours, NEAR, 'smallest, largest', '.csv')
    near.add_argument('images', nargs=1, metavar='QUERY', help='an image')
    add_folder(near)
    near.add_argument('--k', type=int, default=8, metavar='N', help='neighbours (default: 8)')
    near = add_kind(kinds, 'prototypes', prototypes, ATTRACTED, data='.csv')
    add_folder(near)
    add = near.add_argument
    add('--head', type=int, default=0, metavar='H', help='projection head (default: 0, the first)')
    add('--prototypes', nargs='+', type=int, metavar='P', help='default: those with most images')
    add('--number', type=int, default=6, metavar='N', help='of them (default: 6)')
    add('--top', type=int, default=5, metavar='N', help='images and patches of each (default: 5)')
    curve = kinds.add_parser(
        'convergence',
        help='k-NN accuracy over a run',
        description=convergence.__doc__,
        usage='%(prog)s RUN … [options]',
    )
    curve.add_argument('runs', nargs='+', type=Path, metavar='RUN', help='folder, or scalars.json')
    add_output(curve, '.csv')
    curve.set_defaults(draw=convergence, data='.csv')
    return parser.parse_args(argv)


def add_kind(
    kinds: 'argparse._SubParsersAction[argparse.ArgumentParser]',
    name: str,
    draw: Callable[[argparse.Namespace], None],
    text: str,
    subnets: str = 'largest',
    data: str = '.npz',
) -> argparse.ArgumentParser:
    """Add a kind of picture, with the options that all kinds of networks' pictures have."""
    parser = kinds.add_parser(
        name,
        help=text,
        description=draw.__doc__,
        usage=f'%(prog)s CHECKPOINT {INPUTS[name]} [options]',
        formatter_class=command_line.formatter,
    )
    add = parser.add_argument
    add('what', metavar='CHECKPOINT', help='checkpoint, file of a network, or timm model')
    add('--subnets', help=f'all, named, or vit-s,w448-d13 (default: {subnets})')
    add('--branch', choices=['teacher', 'student'])
    add('--timm-weights', default='random', metavar='W', help='random (default), pretrained, FILE')
    add('--image-size', type=int, metavar='SIDE', help='shorter side (default: of pre-training)')
    cli.add_device(parser)
    add_output(parser, data)
    parser.set_defaults(draw=draw, data=data, dtype='float32', default_subnets=subnets)
    return parser


def add_output(parser: argparse.ArgumentParser, data: str) -> None:
    """Add what all pictures have."""
    text = f'*.png, *.svg or *.pdf; the data in *{data} beside it'
    parser.add_argument('--out', type=Path, metavar='FILE', help=text)
    cli.add_overwrite(parser)
    cli.add_traceback(parser)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add a folder of images that networks run over."""
    add = parser.add_argument
    add('folder', type=Path, metavar='FOLDER', help='of images, in folders of classes if known')
    add('--batch-size', type=int, default=64)
    add('--workers', type=int, default=2, help='processes that read images')


def add_images(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the images of pictures with a row for each."""
    parser.add_argument('images', nargs='+', metavar='IMAGE|FOLDER')
    text = 'of the images that are found, draw the first N (default: 6)'
    parser.add_argument('--max-images', type=int, default=6, metavar='N', help=text)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Draw."""
    return cli.run(visualize, parse_args(argv))


def visualize(args: argparse.Namespace) -> None:
    """Check the arguments, draw, and tell where the picture is."""
    check(args)
    args.draw(args)
    print(f'{args.kind} in {args.out}, data in {args.out.with_suffix(args.data)}')


def check(args: argparse.Namespace) -> None:
    """Check paths and numbers before anything is loaded; set ``args.out``."""
    for run in getattr(args, 'runs', ()):
        if not run.exists():
            raise FileNotFoundError(f'no run at {run}')
    if 'what' in args:
        check_what(args.what)
    if 'folder' in args:
        check_folder(args.folder)
    for path in getattr(args, 'images', ()):
        if not Path(path).expanduser().exists():
            raise FileNotFoundError(f'no image or folder at {path}')
    for option in POSITIVE:
        value = getattr(args, option, None)
        if value is not None and value < 1:
            raise ValueError(f'--{option.replace("_", "-")} must be positive, got {value}')
    if args.out is None and 'runs' in args:
        run = args.runs[0]
        args.out = (run if run.is_dir() else run.parent) / 'convergence.png'
    elif args.out is None:
        folder = command_line.default_folder(args.what, args.kind)
        args.out = folder.with_name(f'{folder.name}.png')
    if args.out.suffix not in SUFFIXES:
        raise ValueError(f'--out must end with {", ".join(SUFFIXES)}, got {args.out}')
    for path in (args.out, args.out.with_suffix(args.data)):
        check_free(path, args.overwrite)


def attention(args: argparse.Namespace) -> None:
    """Draw what the heads of the last block attend to.

    The query is the class token. The fewest patches that hold 60 % of a head's attention have its
    colour (Fig. 8), and each head has a map (Fig. 9). Networks without such attention (Swin,
    ResNet, exports) get the principal components of their patches in its place.
    """
    from rich.progress import track

    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.evaluation.pictures.watched_attention import watched_tokens
    from poa_mm.visualization.attention import AttentionMap, plot_attention

    measured, networks = shared.open_chosen(args)
    images = shared.read_images(args.images, shared.open_frame(args, measured), args.max_images)
    maps = []
    for image in track(images, 'attention', transient=True):
        for network in networks:
            tokens, weights = watched_tokens(measured, network, image.inputs)
            if weights is None:
                print(f'note: {network.name} {NO_ATTENTION}', file=sys.stderr)
                colour_patches(args, measured, networks, images, title=INSTEAD)
                return
            grid = weights[0].unflatten(1, tokens.grid).cpu().numpy()
            maps.append(AttentionMap(image.name, network.name, image.pixels, grid))
    plot_attention(maps, args.out, f'Attention of the last block · {shared.about(args, networks)}')
    shared.save_arrays(
        args,
        images,
        {
            f'attention_{number // len(networks)}_{one.network}': one.weights
            for number, one in enumerate(maps)
        },
    )


def draw_pca(args: argparse.Namespace) -> None:
    """Draw patch tokens as colours: red, green and blue are their first principal components.

    Components and scale are those of all given images together: equal colours mean similar tokens.
    """
    from poa_mm.evaluation.pictures import command_line as shared

    measured, networks = shared.open_chosen(args)
    images = shared.read_images(args.images, shared.open_frame(args, measured), args.max_images)
    colour_patches(args, measured, networks, images, args.foreground)


def colour_patches(
    args: argparse.Namespace,
    measured: 'Measured',
    networks: Sequence['Network'],
    images: Sequence['ShownImage'],
    foreground: bool = False,
    title: str = 'Principal components of patch tokens as red, green and blue',
) -> None:
    """Draw the patches of images in colours, a column for each network."""
    from rich.progress import track

    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.visualization.patch_pca import patch_colours, plot_patch_colours

    found = {}
    for network in networks:
        grids = []
        for image in track(images, network.name, transient=True):
            ((_, tokens),) = measured.tokens(image.inputs, [network])
            grids.append(tokens.patches[0].unflatten(0, tokens.grid).float().cpu().numpy())
        found[network.name] = patch_colours(grids, foreground)
    pairs = [(image.name, image.pixels) for image in images]
    plot_patch_colours(pairs, found, args.out, f'{title} · {shared.about(args, networks)}')
    colours = {
        f'colours_{number}_{name}': image
        for name, one in found.items()
        for number, image in enumerate(one.colours)
    }
    shares = {f'variance_{name}': one.shares for name, one in found.items()}
    shared.save_arrays(args, images, colours | shares)


def correspondences(args: argparse.Namespace) -> None:
    """Draw patches of two images that are mutual nearest neighbours, the most similar pairs.

    Of one image, two views are compared: parts of it in different light, the second mirrored. Then
    it is known which places match, and the data have the distance of each pair.
    """
    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.evaluation.pictures.matches import match_images, match_views
    from poa_mm.visualization.correspondences import plot_correspondences

    if len(args.images) > 2:
        raise ValueError(f'correspondences are of one or two images, got {len(args.images)}')
    measured, networks = shared.open_chosen(args)
    frame = shared.open_frame(args, measured)
    match = match_views if len(args.images) == 1 else match_images
    pixels, found, rows = match(measured, networks, frame, args)
    names = ' and '.join(Path(path).name for path in args.images)
    views = 'two views of ' * (len(args.images) == 1)
    title = f'Matching patches of {views}{names} · {shared.about(args, networks)}'
    plot_correspondences(pixels, found, args.out, title)
    shared.save_rows(args, rows)


def neighbours(args: argparse.Namespace) -> None:
    """Draw an image and its nearest neighbours in a folder, a row for each sub-network.

    Neighbours are nearest by cosine similarity of features. Those of the query's class, the name of
    the folder that it lies in, have a blue frame and ✓, others an orange dashed one and ✗.
    """
    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.evaluation.pictures.folder_batches import Folder
    from poa_mm.evaluation.pictures.neighbours import find_neighbours, gallery_of_neighbours
    from poa_mm.visualization.galleries import plot_gallery

    (query,) = args.images
    measured, networks = shared.open_chosen(args)
    about = (query, Folder.open(args.folder), args.k, args.batch_size, args.workers)
    found, reasons = find_neighbours(measured, networks, *about)
    shared.tell_left_out(reasons)
    rows = gallery_of_neighbours(measured, networks, query, found)
    title = f'Nearest neighbours in {args.folder} · {args.what}'
    known = any(one.same is not None for one in found)
    legend = '✓ blue: of the class of the query · ✗ orange, dashed: of another' * known
    plot_gallery(rows, args.out, title, ['query', *map(str, range(1, args.k + 1))], legend)
    shared.save_rows(args, [one.cells() for one in found])


def prototypes(args: argparse.Namespace) -> None:
    """Draw the images and patches that are nearest to prototypes of a projection head (Fig. 11).

    CHECKPOINT is that of the pre-training. By default the prototypes are those to which most images
    of the folder are assigned. Patches are the best ones of different images.
    """
    from poa_mm.checkpoints.projection import load_head
    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.evaluation.pictures import prototypes as attraction
    from poa_mm.evaluation.pictures.folder_batches import Folder
    from poa_mm.visualization.galleries import plot_gallery

    head = load_head(args.what, args.head)
    measured, networks = shared.open_chosen(args)
    if len(networks) > 1:
        raise ValueError(f'prototypes are drawn for one sub-network, got {len(networks)}')
    folder = Folder.open(args.folder)
    chosen = (args.prototypes, args.number, args.top, args.batch_size, args.workers)
    found, reasons = attraction.attracted(measured, networks[0], head, folder, *chosen)
    shared.tell_left_out(reasons)
    rows = attraction.gallery_of_prototypes(measured, found, folder)
    title = f'Images and patches nearest to prototypes of head {args.head} in {args.folder}'
    heads = [f'{kind} {n}' for kind in ('image', 'patch') for n in range(1, args.top + 1)]
    plot_gallery(rows, args.out, f'{title} · {shared.about(args, networks)}', heads)
    shared.save_rows(args, [one.cells() for one in found])


def convergence(args: argparse.Namespace) -> None:
    """Plot the k-NN accuracy of sub-networks over pre-training (Fig. 7), as the monitor logged it.

    Train with KnnMonitorHook in custom_hooks. Several runs are drawn in one plot.
    """
    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.visualization.training_curve import plot_training_curve, read_curves

    alone = len(args.runs) == 1
    curves = {
        name if alone else f'{run}: {name}': points
        for run in args.runs
        for name, points in read_curves(run).items()
    }
    runs = str(args.runs[0]) if alone else f'{len(args.runs)} runs'
    title = f'Sub-networks of the teacher during pre-training · {runs}'
    plot_training_curve(curves, args.out, title=title)
    shared.save_rows(
        args,
        [
            {'network': name, 'iteration': iteration, 'knn_top1_percent': accuracy}
            for name, points in curves.items()
            for iteration, accuracy in points
        ],
    )


if __name__ == '__main__':
    sys.exit(main())
