"""No test whose files of several images would have one name."""

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from poa_mm.errors import InputError


@HOOKS.register_module()
class NameCheckHook(Hook):
    """Looks for images of one name in several folders before a test writes a file for each.

    Drawings of mmdet and mmpretrain and masks of mmseg are named after the image alone, so the file
    of one image would silently replace that of another. Registered with mmengine, so that configs
    of all scopes find it.

    Args:
        folder: Where the files go.
        suffix: Of the files; that of the image by default.

    Raises:
        InputError: Before the test, if two files would have one name; says which images.
    """

    def __init__(self, folder: str, suffix: str | None = None) -> None:
        self.folder = folder
        self.suffix = suffix

    def before_test(self, runner: Runner) -> None:
        """Look at the list of images."""
        dataset = runner.test_dataloader.dataset
        images: dict[str, str] = {}
        for index in range(len(dataset)):
            image = dataset.get_data_info(index).get('img_path')
            if image is None:  # no file; such images are numbered
                continue
            path = Path(image)
            name = path.name if self.suffix is None else path.with_suffix(self.suffix).name
            if name in images:
                raise InputError(
                    f'{images[name]} and {image} would both become {name} in {self.folder}: '
                    'test one folder of images at a time'
                )
            images[name] = image
