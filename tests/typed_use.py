"""State what type checkers and editors know of the objects that users hold.

mypy checks this file, nobody runs it. From ``load_supernet`` to ``extract``, every type is known.
"""

from torch import Tensor, nn
from torchvision import transforms
from typing_extensions import assert_type

import poa_mm
from poa_mm.checkpoints import Preprocessing, open_supernet, preprocessing_of, save_backbone
from poa_mm.elastic import SearchSpace, Subnet
from poa_mm.models.backbones import ElasticBackbone


def from_load_supernet_to_extract(images: Tensor) -> None:
    net = poa_mm.load_supernet('run/iter_1000.pth', branch='student')
    assert_type(net, ElasticBackbone)
    assert_type(net.to('cuda').eval(), ElasticBackbone)
    assert_type(net.space, SearchSpace)
    assert_type(net.space['vit-s'], Subnet)
    assert_type(net.space[-1], Subnet)
    assert_type(net.space[:2], tuple[Subnet, ...])
    assert_type([subnet.width for subnet in net.space], list[int])
    assert_type(net.num_params('vit-s'), int)
    assert_type(net.tokens(images, 'vit-s'), tuple[Tensor, Tensor])
    assert_type(net.extract('vit-s', img_size=96), nn.Module)


def what_takes_a_supernet() -> None:
    net = open_supernet('configs/pretrain/poa_vit-l.py')
    assert_type(net, ElasticBackbone)
    assert_type(preprocessing_of(net, net.run_config), Preprocessing)
    save_backbone(net, 'vit-s', 'vit-s.pth')
    save_backbone(net.extract('vit-s'), 'vit-s', 'vit-s.pth')  # type: ignore[arg-type] # no supernet


def what_takes_any_network() -> None:
    net = poa_mm.load_backbone('vit-s.pth')
    assert_type(net, nn.Module)
    transforms.Compose([poa_mm.image_transform(net), poa_mm.image_transform(open_supernet('c.py'))])
