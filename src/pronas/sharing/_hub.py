"""To a hub and back, by huggingface_hub's mixin. What comes from there is checked like any model file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pronas.errors import ModelFileError, PronasError, RunError, UsageError, require
from pronas.sharing._card import Card
from pronas.training import load_model

if TYPE_CHECKING:
    from pronas.sharing._mixin import HubModel

_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


def push(
    model: Path,
    card: Card,
    repo: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str | None = None,
) -> str:
    """Put a model file, its description and its card on a hub, as one commit.

    Args:
        model: a file that `save_model` wrote; it is read whole first, so that nothing damaged is published.
        card: what ``README.md`` says.
        repo: ``owner/name``; it is made where it is not there.
        private: whether a new one is seen by its owner alone; None: as the owner's account says.
        token: the right to write; None: that of the environment (``HF_TOKEN``) or of an earlier login.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        UsageError: ``repo`` is no such name.
        ModelFileError: the file is damaged.
        RunError: the hub does not take it.
        MissingExtraError: huggingface_hub is not installed.
    """
    if not _REPO.fullmatch(repo):
        raise UsageError(f"{repo!r} is no name on a hub: give owner/name")
    loaded = load_model(model)
    shared = _hub_model()(loaded.network, loaded.spec, card)
    title = message or f"Add {card.name}"
    try:
        return shared.push_to_hub(repo, private=private, token=token, commit_message=title)
    except Exception as error:  # of the hub's client, of its HTTP library, of the system
        raise RunError(f"{repo}: the hub does not take it ({_reason(error)})") from error


def from_pretrained(
    repo: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> HubModel:
    """Load a network from a hub, or from a folder with the same files. The second time it comes from the cache.

        >>> from_pretrained("no such name")
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: 'no such name' is no folder here, and no owner/name on a hub

    Args:
        repo: ``owner/name`` on the hub (``HF_ENDPOINT`` says which, when its client is imported), or a folder with
            ``model.safetensors`` in it.
        revision: a branch, tag or commit; None: the newest.
        token: the right to read what is private; None: that of the environment (``HF_TOKEN``) or of an earlier login.
        cache_dir: where downloads are kept; None: where huggingface_hub keeps them.

    Returns:
        As `load_model`: ``network`` in evaluation mode, and its ``spec``; with what huggingface_hub's ``ModelHubMixin``
        adds: ``save_pretrained(folder)`` and ``push_to_hub("owner/name")``, which write a card of what the file knows.

    Raises:
        UsageError: it is no folder, and no name on a hub.
        ModelFileError: it cannot be had, or is no model of pronas, or is damaged.
        MissingExtraError: huggingface_hub is not installed.
    """
    name = os.fspath(repo)
    if not os.path.isdir(name) and not _REPO.fullmatch(name):
        raise UsageError(f"{name!r} is no folder here, and no owner/name on a hub")
    kept = None if cache_dir is None else Path(cache_dir)
    try:
        return _hub_model().from_pretrained(name, revision=revision, token=token, cache_dir=kept)
    except PronasError:
        raise
    except Exception as error:  # of the hub's client, of its HTTP library, of the system
        raise ModelFileError(f"{name}: cannot be had from the hub ({_reason(error)})") from error


def _hub_model() -> type[HubModel]:
    """The class, once the package that it inherits from is needed: `import pronas` is to stay light."""
    require("huggingface_hub", "hub")
    from pronas.sharing._mixin import HubModel

    return HubModel


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
