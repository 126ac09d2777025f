"""Check that a test writes a file of its own for every image."""

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from poa_mm.errors import InputError


@HOOKS.register_module()
class NameCheckHook(Hook):
    """Check before a test that no two images have the same name, if it names files after them.

    mmdet's and mmpretrain's drawings and mmseg's masks are named after the image without its
    folder, so the file of one image would silently replace that of another. The hook is registered
    with mmengine, so that configs of all scopes find it.

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
        """Check the list of images."""
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
