"""Files that a mistake takes."""

from collections.abc import Callable
from pathlib import Path

import torch
from mistake_runner import CHECKPOINT
from PIL import Image


def text(name: str, content: str = '') -> Callable[[Path], object]:
    """Write a text file."""

    def prepare(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return prepare


def photos(*classes: str) -> Callable[[Path], object]:
    """Write an image of each class."""

    def prepare(folder: Path) -> None:
        for name in classes:
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (24, 24), (40, 90, 140)).save(folder / name / '0.png')

    return prepare


def empty(folder: Path) -> None:
    """Make a folder without images."""
    (folder / 'empty').mkdir(exist_ok=True)


def damaged(folder: Path) -> None:
    """Cut a checkpoint off, as a full disk does."""
    (folder / 'cut.pth').write_bytes((folder / CHECKPOINT).read_bytes()[:50_000])


def foreign(folder: Path) -> None:
    """Save weights with the names of torchvision's ResNet."""
    shapes = {'conv1.weight': (8, 3, 7, 7), 'layer1.0.bn1.weight': (8,), 'fc.weight': (8, 8)}
    torch.save({name: torch.zeros(*shape) for name, shape in shapes.items()}, folder / 'resnet.pth')
