"""Images and masks of mmseg's data sets find each other whatever the case of their suffixes."""

import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.datasets import ADE20KDataset, BaseSegDataset, CityscapesDataset

import poa_mm  # noqa: F401  # fixes mmseg
from poa_mm.segmentation.mask_pairs import left_out

PREFIX = {'img_path': 'images', 'seg_map_path': 'masks'}


def touch(root, *names):
    for name in names:
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def build(root, kind=BaseSegDataset, **settings):
    return kind(**{'data_root': str(root), 'data_prefix': PREFIX, 'pipeline': [], **settings})


def pairs(dataset):
    """Images and masks, relative to the data root."""
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [
        tuple(str(Path(info[key]).relative_to(dataset.data_root)) for key in PREFIX)
        for info in infos
    ]


def notes(dataset, **options):
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [
        (level, text.replace(dataset.data_root, 'R'))
        for level, text in left_out(dataset, infos, **options)
    ]


def spelt(suffix):
    """All ways to write a suffix in capitals and small letters."""
    letters = [st.sampled_from(sorted({c.lower(), c.upper()})) for c in suffix]
    return st.tuples(*letters).map(''.join)


@settings(max_examples=10, deadline=None)
@given(
    suffixes=st.lists(st.tuples(spelt('.jpg'), spelt('_x.png')), min_size=1, max_size=4),
    configured=st.tuples(spelt('.jpg'), spelt('_x.png')),
)
def test_every_letter_case_of_every_suffix_is_read(suffixes, configured):
    with tempfile.TemporaryDirectory() as root:
        expected = [
            (f'images/a/{i}{one}', f'masks/a/{i}{two}') for i, (one, two) in enumerate(suffixes)
        ]
        touch(root, *(name for pair in expected for name in pair))
        dataset = build(root, img_suffix=configured[0], seg_map_suffix=configured[1])
        assert pairs(dataset) == expected
        assert notes(dataset) == []


@pytest.mark.parametrize(
    ('kind', 'image', 'mask'),
    [
        (ADE20KDataset, 'x.JPG', 'x.PNG'),
        (CityscapesDataset, 'a/x_leftImg8bit.png', 'a/x_gtFine_labelTrainIds.PNG'),
        (CityscapesDataset, 'a/x_LEFTIMG8BIT.PNG', 'a/x_gtFine_labelTrainIds.png'),
    ],
)
def test_data_sets_that_build_on_mmseg_s_read_them_too(tmp_path, kind, image, mask):
    touch(tmp_path, f'images/{image}', f'masks/{mask}')
    assert pairs(build(tmp_path, kind)) == [(f'images/{image}', f'masks/{mask}')]


def test_what_is_known_of_an_image_is_what_mmseg_says(tmp_path):
    touch(tmp_path, 'images/1.jpg', 'images/0.jpg', 'masks/0.png')
    dataset = build(tmp_path, reduce_zero_label=True, serialize_data=False)
    assert dataset.data_list == [
        {
            'img_path': f'{tmp_path}/images/{index}.jpg',
            'seg_map_path': f'{tmp_path}/masks/{index}.png',  # whether or not it is there
            'label_map': None,
            'reduce_zero_label': True,
            'seg_fields': [],
        }
        for index in range(2)
    ]


def test_without_a_folder_of_masks_there_are_images_alone(tmp_path):
    touch(tmp_path, 'images/0.JPG')
    dataset = build(tmp_path, data_prefix={'img_path': 'images'})
    assert 'seg_map_path' not in dataset.get_data_info(0)


@pytest.mark.parametrize('line', ['0', '0.jpg', '0.JPG', ' 0 '])
def test_lists_name_images_with_or_without_the_suffix(tmp_path, line):
    touch(tmp_path, 'images/0.JPG', 'images/1.jpg', 'masks/0.PNG', 'masks/1.png')
    (tmp_path / 'list.txt').write_text(f'1\r\n\n{line}\n')
    dataset = build(tmp_path, ann_file='list.txt')
    assert pairs(dataset) == [('images/1.jpg', 'masks/1.png'), ('images/0.JPG', 'masks/0.PNG')]
    assert notes(dataset) == []


def test_a_name_may_look_like_a_suffix(tmp_path):
    touch(tmp_path, 'images/jpg.jpg', 'images/a.jpg.jpg', 'masks/jpg.png', 'masks/a.jpg.png')
    expected = [('images/a.jpg.jpg', 'masks/a.jpg.png'), ('images/jpg.jpg', 'masks/jpg.png')]
    assert pairs(build(tmp_path)) == expected
    (tmp_path / 'list.txt').write_text('a.jpg\njpg\n')
    assert pairs(build(tmp_path, ann_file='list.txt')) == expected


def test_files_that_differ_in_their_case_alone_are_refused(tmp_path):
    touch(tmp_path, 'images/0.jpg', 'images/0.JPG', 'masks/0.png')
    message = r'0\.JPG and 0\.jpg in .*/images differ in the letter case of their suffix alone'
    with pytest.raises(ValueError, match=message):
        build(tmp_path)
    (tmp_path / 'images' / '0.jpg').unlink()
    touch(tmp_path, 'masks/0.PNG')
    assert pairs(build(tmp_path)) == [('images/0.JPG', 'masks/0.png')]  # as it was asked for
    (tmp_path / 'masks' / '0.png').rename(tmp_path / 'masks' / '0.Png')
    with pytest.raises(ValueError, match=r'0\.PNG and 0\.Png in .*/masks'):
        build(tmp_path)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'data_prefix': {'img_path': 'none'}}, r'there is no folder .*/none \(data_prefix.img_p'),
        ({'data_prefix': {'seg_map_path': 'masks'}}, r'no folder None \(data_prefix.img_path\)'),
        ({'ann_file': 'none.txt'}, r'there is no ann_file .*/none\.txt'),
    ],
)
def test_what_is_not_there_is_named(tmp_path, settings, message):
    with pytest.raises(FileNotFoundError, match=message):
        build(tmp_path, **settings)


def test_what_is_left_out_is_counted_and_named(tmp_path):
    touch(tmp_path, 'images/0.jpg', 'masks/0.png', 'images/1.jpeg', 'images/a/2.PNG', 'masks/3.png')
    touch(tmp_path, 'images/Thumbs.db', 'masks/notes.txt', 'masks/0_color.png', 'images/.x.jpeg')
    assert notes(build(tmp_path)) == [
        (
            logging.WARNING,
            'R/images holds images that are left out, as their names do not end in .jpg: '
            '2 (1 .jpeg, 1 .png), the first R/images/1.jpeg',
        ),
        (
            logging.WARNING,
            'R/masks holds masks that are left out, as they have no image: 2, the first '
            'R/masks/0_color.png',
        ),
        (logging.INFO, 'beside images and masks there are other files: 2 (1 .db, 1 .txt)'),
    ]


def test_links_that_are_not_followed_are_named(tmp_path):
    touch(tmp_path, 'images/0.jpg', 'images/a/1.jpg', 'masks/0.png', 'masks/a/1.png')
    for link, target in {'here': '.', 'b': 'a', '2.jpg': 'nowhere'}.items():
        (tmp_path / 'images' / link).symlink_to(target)
    dataset = build(tmp_path)
    assert [image for image, _ in pairs(dataset)] == ['images/0.jpg', 'images/a/1.jpg']
    assert [text for _, text in notes(dataset)] == [
        'R/images holds broken links: 1',
        'R/images holds links to folders that are read already: b, here',
    ]


def test_masks_may_be_linked_twice(tmp_path):
    touch(tmp_path, 'images/a/0.jpg', 'images/b/0.jpg', 'masks/a/0.png')
    (tmp_path / 'masks' / 'b').symlink_to('a')
    dataset = build(tmp_path)
    assert [mask for _, mask in pairs(dataset)] == ['masks/a/0.png', 'masks/b/0.png']
    assert notes(dataset) == []


def test_images_and_masks_may_lie_in_one_folder(tmp_path):
    touch(tmp_path, 'x/0.jpg', 'x/0.png', 'x/1.jpg', 'x/1.PNG')
    dataset = build(tmp_path, data_prefix={'img_path': 'x', 'seg_map_path': 'x'})
    assert pairs(dataset) == [('x/0.jpg', 'x/0.png'), ('x/1.jpg', 'x/1.PNG')]
    assert notes(dataset) == []


@pytest.mark.parametrize('choice', [{'ann_file': 'list.txt'}, {'indices': 1}])
def test_what_was_chosen_leaves_out_nothing(tmp_path, choice):
    touch(tmp_path, 'images/0.jpg', 'images/1.jpg', 'masks/0.png', 'masks/1.png')
    (tmp_path / 'list.txt').write_text('0\n')
    dataset = build(tmp_path, **choice)
    assert len(dataset) == 1
    assert notes(dataset) == []


def test_masks_that_are_not_read_are_not_counted(tmp_path):
    touch(tmp_path, 'images/0.jpg', 'images/1.png', 'masks/3.png')
    (note,) = notes(build(tmp_path), with_masks=False)
    assert note[1].startswith('R/images holds images that are left out')


def test_a_data_set_with_a_list_of_its_own_keeps_it_and_is_looked_through(tmp_path):
    class Own(BaseSegDataset):
        def load_data_list(self):
            return [{'img_path': f'{self.data_root}/images/0.jpg'}]

    touch(tmp_path, 'images/0.jpg', 'images/1.JPG')
    dataset = build(tmp_path, Own)
    assert len(dataset) == 1
    ((_, note),) = notes(dataset)
    assert note.endswith('1 (1 .jpg), the first R/images/1.JPG')
