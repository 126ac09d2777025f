import os

import pytest

from poa_mm.engine import launch
from poa_mm.errors import InputError, printable


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        (b'cat.jpg', 'cat.jpg'),
        ('Größe 3.jpg'.encode(), 'Größe 3.jpg'),
        (b'caf\xe9.jpg', r'caf\udce9.jpg'),
        (b'a\nb.jpg', r'a\nb.jpg'),
    ],
)
def test_names_of_any_bytes_become_one_line_of_text(name, text):
    assert printable(os.fsdecode(name)) == text
    printable(os.fsdecode(name)).encode('utf-8')


def test_the_launcher_knows_the_error():
    assert launch.InputError is InputError
