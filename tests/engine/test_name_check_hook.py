"""Images of one name in several folders, of which each would get a file."""

from types import SimpleNamespace

import pytest

from poa_mm.engine.hooks import NameCheckHook
from poa_mm.engine.launch import InputError


class Images(list):
    def get_data_info(self, index):
        return {'img_path': self[index]}


def check(hook, *images):
    loader = SimpleNamespace(dataset=Images(images))
    hook.before_test(SimpleNamespace(test_dataloader=loader))


def test_files_of_the_images_own_kind():
    hook = NameCheckHook('drawn')
    check(hook, 'a/1.jpg', 'a/2.jpg', 'b/1.png', None, None)
    message = r'^a/2\.jpg and b/2\.jpg would both become 2\.jpg in drawn: '
    with pytest.raises(InputError, match=message):
        check(hook, 'a/1.jpg', 'a/2.jpg', 'b/2.jpg')


def test_files_of_one_kind():
    hook = NameCheckHook('masks', suffix='.png')
    check(hook, 'a/1.jpg', 'a/1.5.jpg', 'b/2.png')
    with pytest.raises(
        InputError, match=r'a/1\.jpg and b/1\.png would both become 1\.png in masks'
    ):
        check(hook, 'a/1.jpg', 'b/1.png')
