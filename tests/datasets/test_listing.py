"""Which files below a folder are images, whatever links and oddities lie between them."""

import os
import socket

import pytest
from helpers import recorded_log
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import features

from poa_mm.datasets.listing import EXTENSIONS, list_images


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')


@pytest.fixture
def log():
    """Level and text of each message; what a terminal with UTF-8 cannot take is an error."""
    with recorded_log() as messages:
        yield messages


def test_links_are_followed_and_have_an_end(tmp_path, log):
    root, elsewhere = tmp_path / 'root', tmp_path / 'elsewhere'
    touch(root / 'a' / '1.png', root / 'b' / 'c' / '2.png', elsewhere / '3.png')
    (root / 'a' / 'parent').symlink_to('..')
    (root / 'b' / 'all').symlink_to(root)
    (root / 'itself').symlink_to('itself')
    (root / '0').symlink_to('b')  # sorts before what it leads to
    (root / 'far').symlink_to(elsewhere)
    (root / 'far2').symlink_to(elsewhere)
    (elsewhere / 'back').symlink_to(root)
    listing = list_images(str(root))
    assert listing.images == ['a/1.png', 'b/c/2.png', 'far/3.png']
    assert listing.folders == ['a', 'b', 'far']
    assert sorted(listing.repeated) == ['0', 'a/parent', 'b/all', 'far/back', 'far2']
    assert listing.ignored == {'broken links': 1}
    listing.report()
    assert log == [
        ('INFO', f'{root}: 3 images, 1 other files ignored (1 broken links)'),
        ('WARNING', f'{root}: links to folders that are read already: '
         '0, a/parent, b/all, far/back, far2'),
    ]  # fmt: skip


def test_a_root_that_is_a_link(tmp_path):
    touch(tmp_path / 'real' / 'a' / '1.png')
    (tmp_path / 'real' / 'a' / 'up').symlink_to('..')
    (tmp_path / 'link').symlink_to('real')
    listing = list_images(f'{tmp_path}/link/')
    assert listing.images == ['a/1.png']
    assert listing.path('a/1.png') == f'{tmp_path}/link/a/1.png'


def test_a_linked_image_is_an_image(tmp_path):
    touch(tmp_path / 'all' / '1.png', tmp_path / 'all' / '2.png')
    (tmp_path / 'some').mkdir()
    (tmp_path / 'some' / 'one.png').symlink_to('../all/1.png')
    assert list_images(str(tmp_path)).images == ['all/1.png', 'all/2.png', 'some/one.png']


TREES = st.lists(st.integers(0, 5), min_size=2, max_size=8)
LINKS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(parents=TREES, links=LINKS)
def test_every_image_once(parents, links, tmp_path_factory):
    """In any tree with any links between its folders."""
    root = tmp_path_factory.mktemp('tree')
    folders = [root]
    for number, parent in enumerate(parents):
        folder = folders[parent % len(folders)] / f'd{number}'
        touch(folder / f'{number}.png')
        folders.append(folder)
    for number, (place, target) in enumerate(links):
        link = folders[place % len(folders)] / f'a{number}'
        link.symlink_to(folders[target % len(folders)])
    listing = list_images(str(root))
    expected = sorted(str(path.relative_to(root)) for path in root.glob('**/*.png'))
    assert sorted({str(path) for path in expected}) == listing.images
    assert len(listing.repeated) == len(links)


def test_hidden_and_system_files_are_no_images(tmp_path):
    touch(tmp_path / 'cat' / '1.png')
    for folder in ('.ipynb_checkpoints', '__MACOSX', '@eaDir', '.git', '.Trash-1000', 'lost+found'):
        touch(tmp_path / folder / '2.png', tmp_path / 'cat' / folder / '3.png')
    touch(tmp_path / 'cat' / '._1.png', tmp_path / '.DS_Store', tmp_path / 'Thumbs.db')
    listing = list_images(str(tmp_path))
    assert listing.images == ['cat/1.png']
    assert listing.folders == ['cat']
    assert listing.ignored == {'hidden folders': 12, 'hidden': 2, '.db': 1}


def test_a_hidden_root_is_what_was_asked_for(tmp_path):
    touch(tmp_path / '.cache' / '1.png')
    assert list_images(str(tmp_path / '.cache')).images == ['1.png']


def test_one_line_says_what_is_left_out(tmp_path, log):
    touch(*(tmp_path / name for name in ('a.PNG', 'b.JpEg', 'c.jfif', 'd.gif', 'e.jpe', 'f.PNM')))
    touch(*(tmp_path / name for name in ('1.heic', '2.HEIC', 'photo', 'x.jpg?w=300&h=200')))
    touch(tmp_path / 'notes.txt', tmp_path / 'png')
    os.mkfifo(tmp_path / 'pipe.png')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / 'socket.png'))
    (tmp_path / 'gone.png').symlink_to('nowhere.png')
    (tmp_path / 'folder.png').mkdir()
    list_images(str(tmp_path)).report()
    kinds = '2 .heic, 2 pipes or devices, 2 without suffix, 1 .txt, 1 broken links and 1 more'
    assert log == [('INFO', f'{tmp_path}: 6 images, 9 other files ignored ({kinds})')]


def test_nothing_but_images_needs_no_more_words(tmp_path, log):
    touch(tmp_path / 'a.png')
    list_images(str(tmp_path)).report()
    assert log == [('INFO', f'{tmp_path}: 1 images')]


def test_names_that_are_not_utf_8(tmp_path, log):
    for name in (b'caf\xe9.png', b'caf\xe9.\xff', b'\xe9/1.png'):
        touch(tmp_path / os.fsdecode(name))
    (tmp_path / os.fsdecode(b'\xe8')).symlink_to('.')
    listing = list_images(str(tmp_path))
    listing.report()
    assert [os.fsencode(image) for image in listing.images] == [b'caf\xe9.png', b'\xe9/1.png']
    assert log == [
        ('INFO', f'{tmp_path}: 2 images, 1 other files ignored (1 of odd names)'),
        ('WARNING', rf'{tmp_path}: links to folders that are read already: \udce8'),
    ]


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, log, monkeypatch):
    touch(tmp_path / 'a' / '1.png', tmp_path / 'closed' / '2.png')
    scandir = os.scandir

    def scan(path):  # root may open everything
        if str(path).endswith('closed'):
            raise PermissionError(13, 'Permission denied')
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', scan)
    listing = list_images(str(tmp_path))
    listing.report()
    assert listing.images == ['a/1.png']
    assert listing.folders == ['a', 'closed']
    text = f'{tmp_path}: folders that cannot be opened: closed (Permission denied)'
    assert log[1:] == [('WARNING', text)]


def test_no_image_says_what_there_is(tmp_path):
    touch(tmp_path / '1.heic', tmp_path / 'a' / '2.heic')
    with pytest.raises(ValueError, match=r'no images in .*, 2 other files ignored \(2 \.heic\): '):
        list_images(str(tmp_path)).report()
    with pytest.raises(ValueError, match='no images in class sub-folders of'):
        list_images(str(tmp_path)).report(labelled=True)


def test_avif_is_read_if_pillow_can():
    can = 'avif' in features.modules and features.check('avif')
    assert ('.avif' in EXTENSIONS) == can
