"""Wrong arguments in a config are explained by the class that the config names."""

import pytest
from mmengine.registry import Registry
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS

from poa_mm.arguments import accepted, advice, explain, nearest

THINGS = Registry('thing')


class Base:
    def __init__(self, one, two=2):
        self.values = (one, two)


@THINGS.register_module()
class Child(Base):
    def __init__(self, three=3, **kwargs):
        super().__init__(**kwargs)
        self.three = three


@THINGS.register_module()
class Parent:
    def __init__(self, child, broken=False):
        self.child = THINGS.build(child)
        if broken:
            int('1', bass=3)


def explanation(registry, **cfg):
    with pytest.raises(TypeError) as error:
        registry.build(cfg)
    return explain(error.value)


def test_a_wrong_argument_names_the_class_of_the_config():
    words = "Child has no argument 'twoo'; did you mean 'two'? Valid: one, three, two"
    assert explanation(THINGS, type='Child', one=1, twoo=2) == words
    # … and not the class around it.
    assert explanation(THINGS, type='Parent', child={'type': 'Child', 'one': 1, 'twoo': 2}) == words


def test_an_argument_that_lacks_because_it_is_misspelled():
    words = explanation(THINGS, type='Child', onee=1)
    assert words.startswith("Child has no argument 'onee'; did you mean 'one'?")


def test_another_type_error_is_not_explained():
    assert (
        explanation(THINGS, type='Parent', child={'type': 'Child', 'one': 1}, broken=True) is None
    )
    assert explanation(THINGS, type='Child') is None  # nothing is misspelled
    assert explain(TypeError('anything')) is None


@pytest.mark.parametrize(
    ('registry', 'kind', 'wrong', 'meant'),
    [
        (MODELS, 'POA', 'koleo_wieght', 'koleo_weight'),
        (MODELS, 'ElasticVisionTransformer', 'wdiths', 'widths'),
        (MODELS, 'ElasticSwinTransformer', 'widows_size', 'window_size'),
        (MODELS, 'ElasticResNet', 'dephts', 'depths'),
        (MODELS, 'MultiProjectionHead', 'num_prototype', 'num_prototypes'),
        (DATASETS, 'ImageFolder', 'data_rot', 'data_root'),
        (TRANSFORMS, 'MultiCrop', 'globalsize', 'global_size'),
    ],
)
def test_classes_of_the_package(registry, kind, wrong, meant):
    words = explanation(registry, type=kind, **{wrong: 1})
    assert words.startswith(f"{kind} has no argument '{wrong}'; did you mean '{meant}'?")


def test_accepted_follows_kwargs_to_the_parent():
    assert accepted(Child) == {'one', 'two', 'three'}
    assert accepted(Base) == {'one', 'two'}
    assert accepted(explanation) == {'registry'}


def test_advice():
    assert nearest('embed_dim', ['embed_dims', 'depth']) == 'embed_dims'
    assert nearest('x', ['embed_dims']) is None
    assert advice('x', ['b', 'a']) == 'valid: a, b'


def test_advice_on_many_names_lists_those_most_alike():
    known = [f'setting_{number}' for number in range(100)]
    words = advice('setting_7', known)
    assert words.startswith("did you mean 'setting_7'? Valid: setting_7, ")
    assert words.endswith(' and 94 more')
    assert len(words) < 150
