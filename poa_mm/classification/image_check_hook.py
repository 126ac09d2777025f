"""Check before training that all images to validate on can be read."""

from collections.abc import Sequence

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader, Dataset

from poa_mm.classification.class_folders import ClassFolders
from poa_mm.datasets.images import UnreadableImageError, read_image
from poa_mm.datasets.nested import parts_of
from poa_mm.registry import HOOKS

BATCH = 16  # images that a process reads at a time


@HOOKS.register_module()
class ImageCheckHook(Hook):
    """Read all images to validate on before the first step.

    In training another image takes the place of one that cannot be read. A validation must not
    replace images, and would end the run after its first epoch.

    Raises:
        UnreadableImageError: Before training; names the first such file, and says how many there
            are.
    """

    def before_train(self, runner: Runner) -> None:
        """Read them with as many processes as validation has; the ranks share them."""
        if isinstance(runner.val_loop, BaseLoop):
            loader = runner.val_loop.dataloader
            check_images(loader.dataset, 'images to validate on', loader.num_workers)


def check_images(dataset: Dataset, what: str, num_workers: int = 0) -> None:
    """Read all images of the class folders in a data set.

    Args:
        dataset: Other data sets in it are left out.
        what: Its images are.
        num_workers: Processes to read them in. Threads would not do: OpenCV, which turns the
            channels round, then waits for ever in the processes that training forks from this one.

    Raises:
        UnreadableImageError: Some cannot be read.
        ValueError: There are no images.
    """
    parts = [part for part in parts_of(dataset) if isinstance(part, ClassFolders)]
    for part in parts:
        if not len(part):
            raise ValueError(f'there are no {what} in {part.place}')
    paths = [part.get_data_info(row)['img_path'] for part in parts for row in range(len(part))]
    own = _Reasons(paths[get_rank() :: get_world_size()])
    loader: DataLoader = DataLoader(own, BATCH, num_workers=num_workers, collate_fn=list)
    found = [reason for batch in loader for reason in batch if reason]
    reasons = sorted(reason for of_rank in all_gather_object(found) for reason in of_rank)
    if reasons:
        more = f' (one of {len(reasons)} of {len(paths)} {what})' if len(reasons) > 1 else ''
        raise UnreadableImageError(f'{reasons[0]}{more}: replace or delete it')


class _Reasons(Dataset):
    """Why files are no images, in the order of their paths; nothing for those that are."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> str:
        try:
            read_image(self.paths[row], _ignore)
        except UnreadableImageError as error:
            return str(error)
        return ''


def _ignore(about: str, text: str) -> None:
    """Pass over what is odd about an image: the data set itself will tell."""
