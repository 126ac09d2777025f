"""Turn a config into the run of the authors' code by one setting."""

from typing import Any

from mmengine.config import Config

from poa_mm.engine import config_check

OPTION = 'official'
SETTINGS = 'official_settings'


def settle_official(cfg: Config, options: dict[str, Any]) -> None:
    """Apply what a config says about the run of the authors, if that is asked for.

    A config that has ``official_settings``, values by dotted key, takes ``official=True`` in
    ``--cfg-options``, or in its file. They are applied first: other options go before them. What is
    applied is taken out of the config, so that the copy in the work dir says what was run.

    Args:
        cfg: Config, changed in place.
        options: Those of the command line; ``official`` is taken out of them.

    Raises:
        ValueError: ``official`` is no bool, or set for a config without such settings; a key that
            nothing reads.
    """
    before = cfg.get(OPTION, False)
    wanted = options.pop(OPTION, before)
    if not isinstance(wanted, bool):
        raise ValueError(f'{OPTION} must be True or False, got {wanted!r}')
    settings = cfg.get(SETTINGS)
    if settings is None:
        if wanted != before:
            raise ValueError(
                f'{OPTION}={wanted}: the config has no {SETTINGS}'
                + (', they are applied already' if before else '')
            )
        return
    if wanted:
        config_check.override(cfg, settings)
        cfg.pop(SETTINGS)
    cfg.official = wanted
