#!/usr/bin/env python
"""Draw what networks see: attention, principal components of patches, correspondences.

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
from poa_mm.files import check_free

if TYPE_CHECKING:
    from poa_mm.evaluation import Measured, Network
    from poa_mm.evaluation.pictures.shown_images import ShownImage

MATCHES = 'patches of two images that match'
SUFFIXES = ('.png', '.svg', '.pdf')
NO_ATTENTION = 'attends to no whole image that could be watched: drawn is the PCA of its patches'
EPILOG = 'KIND --help tells the options of a kind; all have --out, --overwrite, --traceback.'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, usage='%(prog)s KIND CHECKPOINT … [options]'
    )
    kinds = parser.add_subparsers(dest='kind', metavar='KIND', required=True)
    add_images(add_kind(kinds, 'attention', attention, 'heads of the last block, in colours'))
    pca = add_images(add_kind(kinds, 'pca', draw_pca, 'patch tokens as colours'))
    pca.add_argument('--foreground', action='store_true', help='leave the background out')
    pairs = add_kind(kinds, 'correspondences', correspondences, MATCHES, data='.csv')
    pairs.add_argument('images', nargs='+', metavar='IMAGE', help='one, or two')
    pairs.add_argument('--pairs', type=int, default=20, metavar='N', help='at most (default: 20)')
    pairs.add_argument('--seed', type=int, default=0, help='of two views of one image (default: 0)')
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
        name, help=text, description=draw.__doc__, formatter_class=command_line.formatter
    )
    add = parser.add_argument
    add('what', metavar='CHECKPOINT', help='checkpoint, file of a network, or timm model')
    add('--out', type=Path, metavar='FILE', help=f'*.png, *.svg, *.pdf; data in *{data} beside it')
    add('--subnets', help=f'all, named, or vit-s,w448-d13 (default: {subnets})')
    add('--branch', choices=['teacher', 'student'], default='teacher')
    add('--timm-weights', default='random', metavar='W', help='random (default), pretrained, FILE')
    add('--image-size', type=int, metavar='SIDE', help='shorter side (default: of pre-training)')
    cli.add_device(parser)
    cli.add_overwrite(parser)
    cli.add_traceback(parser)
    parser.set_defaults(draw=draw, data=data, dtype='float32', default_subnets=subnets)
    return parser


def add_images(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the images of pictures with a row for each."""
    parser.add_argument('images', nargs='+', metavar='IMAGE|FOLDER')
    text = 'of the images that are found, draw the first N (default: 6)'
    parser.add_argument('--max-images', type=int, default=6, metavar='N', help=text)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Draw."""
    args = parse_args(argv)
    return cli.run(visualize, args)


def visualize(args: argparse.Namespace) -> None:
    """Check the arguments, draw, and tell where the picture is."""
    check(args)
    args.draw(args)
    print(f'{args.kind} in {args.out}, data in {args.out.with_suffix(args.data)}')


def check(args: argparse.Namespace) -> None:
    """Check paths and numbers before anything is loaded; set ``args.out``."""
    check_what(args.what)
    for path in getattr(args, 'images', ()):
        if not Path(path).expanduser().exists():
            raise FileNotFoundError(f'no image or folder at {path}')
    for option in ('image_size', 'max_images', 'pairs'):
        value = getattr(args, option, None)
        if value is not None and value < 1:
            raise ValueError(f'--{option.replace("_", "-")} must be positive, got {value}')
    if args.out is None:
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
    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.evaluation.pictures.watched_attention import watched_tokens
    from poa_mm.visualization.attention import AttentionMap, plot_attention

    measured, networks = shared.open_chosen(args)
    images = shared.read_images(args.images, shared.open_frame(args, measured), args.max_images)
    maps = []
    for image in images:
        for network in networks:
            tokens, weights = watched_tokens(measured, network, image.inputs)
            if weights is None:
                print(f'note: {network.name} {NO_ATTENTION}', file=sys.stderr)
                colour_patches(args, measured, networks, images, title=NO_ATTENTION)
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
    from poa_mm.evaluation.pictures import command_line as shared
    from poa_mm.visualization.patch_pca import patch_colours, plot_patch_colours

    found = {}
    for network in networks:
        grids = []
        for image in images:
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


if __name__ == '__main__':
    sys.exit(main())
