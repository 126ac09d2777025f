"""Train many heads on one frozen backbone, a learning rate each, features computed once."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from poa_mm.segmentation.frozen import FrozenEncoderDecoder

PREDICTION = 'pred_head_{}'  # field of a data sample with the prediction of one head


@MODELS.register_module()
class SweepHead(BaseModule):
    """Copies of one decode head with the same initial weights and a loss each.

    Initialising them draws as many random numbers as one head does, so that a run with copies
    and a run with one head start from the same weights.

    Args:
        head: Config of the decode head.
        number: How many copies.

    Raises:
        ValueError: Fewer than one copy.
    """

    heads: Any  # a ModuleList, which torch's types would take for a Tensor, too

    def __init__(self, head: dict[str, Any], number: int) -> None:
        super().__init__()
        if number < 1:
            raise ValueError(f'number must be at least 1, got {number}')
        first = MODELS.build(head)
        self.heads = nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(number - 1))])
        # Attributes that mmseg's segmentor reads.
        self.align_corners = first.align_corners
        self.num_classes = first.num_classes
        self.threshold = first.threshold
        self.ignore_index = first.ignore_index
        self.out_channels = number * first.out_channels

    def init_weights(self) -> None:
        """Initialise the first head and copy it."""
        first = self.heads[0]
        first.init_weights()
        for head in self.heads[1:]:
            head.load_state_dict(first.state_dict())

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the logits of all heads, (B, number · classes, h, w)."""
        return torch.cat([head(inputs) for head in self.heads], dim=1)

    def loss(
        self, inputs: Sequence[Tensor], data_samples: list[SegDataSample], train_cfg: dict
    ) -> dict:
        """Return the losses of each head by index; their sum gives each head its own gradient."""
        return {
            f'{index}.{name}': value
            for index, head in enumerate(self.heads)
            for name, value in head.loss(inputs, data_samples, train_cfg).items()
        }

    def predict(self, inputs: Sequence[Tensor], metas: list[dict], test_cfg: dict) -> Tensor:
        """Return the logits of all heads at the size of the input, (B, number · classes, H, W)."""
        return torch.cat([head.predict(inputs, metas, test_cfg) for head in self.heads], dim=1)


@MODELS.register_module()
class SweepEncoderDecoder(FrozenEncoderDecoder):
    """A frozen backbone under a :class:`SweepHead`; predicts with every head.

    Args:
        **kwargs: Those of mmseg's ``EncoderDecoder``; ``decode_head`` is a ``SweepHead``.
    """

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Return data samples with a field ``pred_head_<index>`` for each head.

        Logits are freed head by head: at the size of the original images, those of all heads would
        fill the memory.

        Args:
            seg_logits: Logits of all heads, (B, number · classes, H, W).
            data_samples: Data samples of the images. Without them, predictions keep the size of
                the logits, in new samples.
        """
        results = data_samples or [SegDataSample() for _ in seg_logits]
        for index, logits in enumerate(seg_logits.chunk(len(self.decode_head.heads), dim=1)):
            predicted = super().postprocess_result(logits, data_samples)
            for result, sample in zip(results, predicted, strict=True):
                result.set_field(sample.pred_sem_seg, PREDICTION.format(index))
                del sample.pred_sem_seg, sample.seg_logits
        return results
