"""Find the checkpoints in the folder of a run."""

import glob
import zipfile
from pathlib import Path
from typing import Any

from mmengine.config import Config

from poa_mm.files import check_sums

LATEST = 'last_checkpoint'  # in which mmengine keeps the path of the latest one
BEST = 'best_'  # what the names of the best ones start with
TEMPLATES = ('iter_{}.pth', 'epoch_{}.pth')


def checkpoint_folder(work_dir: str, out_dir: str | None = None) -> str:
    """Return where a run saves: its work dir, or a folder of that name in ``out_dir``."""
    if out_dir in (None, work_dir):
        return work_dir
    return str(Path(str(out_dir)) / Path(work_dir).name)


def saved_checkpoints(cfg: Config) -> list[Path]:
    """List the checkpoints of a run, sorted so that the one to resume from is last.

    They are found by name in the run's own folder, so it may have been moved, copied or renamed.
    Only the file name in ``last_checkpoint`` is used, as its path may lead to another run.
    Checkpoints with higher numbers than that one, but written before it, are older than the last
    resume; they come first.

    Args:
        cfg: Config, with its ``work_dir`` set.
    """
    numbers = _numbers(cfg)
    latest = _named_latest(cfg)
    if latest is not None:
        numbers.setdefault(latest, ('', 0))
    times = {path: path.stat().st_mtime_ns for path in numbers}
    # Iterations and epochs cannot be compared.
    alike = len({template for template, _ in numbers.values()}) == 1
    place = {path: number if alike else times[path] for path, (_, number) in numbers.items()}

    def is_left_behind(path: Path) -> bool:
        return latest is not None and place[path] > place[latest] and times[path] < times[latest]

    return sorted(numbers, key=lambda path: (not is_left_behind(path), place[path]))


def holds_a_run(cfg: Config) -> bool:
    """Tell whether the folder of this config's run holds checkpoints already."""
    return bool(
        (Path(cfg.work_dir) / LATEST).exists()
        or saved_checkpoints(cfg)
        or any(_folder(cfg).glob(f'{BEST}*.pth'))
    )


def lies_in_run(path: str | Path, cfg: Config) -> bool:
    """Tell whether a file lies where a run of this config saves."""
    return Path(path).resolve().parent in {_folder(cfg).resolve(), Path(cfg.work_dir).resolve()}


def later_than(path: str | Path, cfg: Config) -> list[Path]:
    """List the checkpoints of a run with higher numbers than one of them."""
    numbers = {other.resolve(): of for other, of in _numbers(cfg).items()}
    template, number = numbers.get(Path(path).resolve(), ('', 0))
    return sorted(other for other, of in numbers.items() if of[0] == template and of[1] > number)


def is_finished(path: str | Path) -> bool:
    """Tell whether ``torch.save`` has finished a file. Cheap."""
    return zipfile.is_zipfile(path)


def newest_complete(cfg: Config) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint with correct check sums, and say which ones are damaged.

    Returns:
        The file, ``None`` where no run has saved any, and a sentence for each damaged one.

    Raises:
        ValueError: There are some, and none is complete.
    """
    damaged: list[str] = []
    for path in reversed(saved_checkpoints(cfg)):
        try:
            check_sums(path)
        except ValueError as error:
            damaged.append(str(error))
        else:
            return path, [f'{error}; an earlier checkpoint takes its place' for error in damaged]
    if damaged:
        raise ValueError(
            f'{cfg.work_dir} holds no complete checkpoint ({"; ".join(damaged)}); remove the '
            'damaged files to start a new run'
        )
    return None, []


def _hook(cfg: Config) -> dict[str, Any]:
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


def _folder(cfg: Config) -> Path:
    return Path(checkpoint_folder(cfg.work_dir, _hook(cfg).get('out_dir')))


def _numbers(cfg: Config) -> dict[Path, tuple[str, int]]:
    """Find regular checkpoints of a run, with the template and the number of their names."""
    templates = {*TEMPLATES, _hook(cfg).get('filename_tmpl') or TEMPLATES[0]}
    found = {}
    for template in templates:
        before, _, after = template.partition('{}')
        for path in _folder(cfg).glob(f'{glob.escape(before)}*{glob.escape(after)}'):
            number = path.name[len(before) : len(path.name) - len(after)]
            if number.isdecimal():
                found[path] = (template, int(number))
    return found


def _named_latest(cfg: Config) -> Path | None:
    """Return the file that ``last_checkpoint`` names, if it lies in the run's own folder."""
    try:
        name = Path((Path(cfg.work_dir) / LATEST).read_text(encoding='utf-8').strip()).name
    except (OSError, UnicodeDecodeError):
        return None
    path = _folder(cfg) / name
    return path if name and path.is_file() else None
