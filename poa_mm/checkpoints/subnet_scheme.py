"""Load ``checkpoint='subnet://vit-s@run/iter_276800.pth'``: a sub-network of a supernet.

What ``tools/extract_subnet.py`` would write is cut out in memory, on every rank, wherever mmengine
loads weights: in ``init_cfg=dict(type='Pretrained', checkpoint=...)`` and in ``load_from``, for all
OpenMMLab libraries.
"""

from typing import Any

import torch
from mmengine.runner import CheckpointLoader

from poa_mm.checkpoints.checkpoint import load_supernet
from poa_mm.compat.position_grid import with_grid

SCHEME = 'subnet://'


def split_address(address: str) -> tuple[str, str]:
    """Return the name of the sub-network and the path of the checkpoint.

    Raises:
        ValueError: Another form.
    """
    name, _, path = address.removeprefix(SCHEME).partition('@')
    if not name or not path:
        raise ValueError(f'{address!r} is not of the form {SCHEME}SUBNET@CHECKPOINT')
    return name, path


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_from_subnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Extract a sub-network of the teacher.

    Args:
        filename: ``subnet://NAME@CHECKPOINT``: a name that the supernet knows (``vit-s``,
            ``w448-d13``, ``smallest``), and the checkpoint of a POA run.
        map_location: Device to put the weights on; the CPU by default.

    Returns:
        ``state_dict`` under the names of the stock class, and the sub-network's full name.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No name or no file in ``filename``, not a checkpoint of POA, or a sub-network
            that it does not have; says which it has.
    """
    name, path = split_address(filename)
    # Building the supernet must not move the random stream that initialises the other modules.
    with torch.random.fork_rng(devices=[]):
        supernet = load_supernet(path)
    subnet = supernet.space.resolve(name)
    state = supernet.subnet_state_dict(subnet)
    state = {key: value.to(map_location or 'cpu') for key, value in state.items()}
    # Where it has position embeddings, a state dict tells their grid.
    grid = supernet.patch_resolution if 'pos_embed' in state else None
    return {
        'state_dict': with_grid(state, grid),
        'subnet': str(subnet),
    }
