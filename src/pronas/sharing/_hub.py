"""To a hub and back, by huggingface_hub. What comes from there is checked like any model file; nothing is unpickled."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pronas.errors import ModelFileError, RunError, UsageError, require
from pronas.sharing._card import Card, card_text
from pronas.training import Model, load_model

WEIGHTS, CONFIG = "model.safetensors", "config.json"
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
    _check_repo(repo)
    load_model(model)
    hub = require("huggingface_hub", "hub")
    with tempfile.TemporaryDirectory(prefix="pronas-push-") as name:
        folder = Path(name)
        shutil.copyfile(model.with_suffix(".safetensors"), folder / WEIGHTS)
        shutil.copyfile(model.with_suffix(".json"), folder / CONFIG)
        card.write(folder)
        (folder / "README.md").write_text(card_text(card, repo), "utf-8")
        try:
            api = hub.HfApi(endpoint=_endpoint(), token=token)
            api.create_repo(repo, private=private, exist_ok=True)
            made = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message or f"Add {card.name}")
        except Exception as error:  # of the hub's client, of its HTTP library, of the system
            raise RunError(f"{repo}: the hub does not take it ({_reason(error)})") from error
    return str(made.commit_url)


def from_pretrained(
    repo: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Model:
    """Load a network from a hub, or from a folder with the same files. The second time it comes from the cache.

        >>> from_pretrained("no such name")
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: 'no such name' is no folder here, and no owner/name on a hub

    Args:
        repo: ``owner/name`` on the hub (``HF_ENDPOINT`` says which), or a folder with ``model.safetensors`` in it.
        revision: a branch, tag or commit; None: the newest.
        token: the right to read what is private; None: that of the environment (``HF_TOKEN``) or of an earlier login.
        cache_dir: where downloads are kept; None: where huggingface_hub keeps them.

    Returns:
        The network in evaluation mode, and its specification; as `load_model`.

    Raises:
        UsageError: it is no folder, and no name on a hub.
        ModelFileError: it cannot be had, or is no model of pronas, or is damaged.
        MissingExtraError: huggingface_hub is not installed.
    """
    if os.path.isdir(repo):
        return load_model(Path(repo) / WEIGHTS)
    name = os.fspath(repo)
    if not _REPO.fullmatch(name):
        raise UsageError(f"{name!r} is no folder here, and no owner/name on a hub")
    hub = require("huggingface_hub", "hub")
    options: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir, "endpoint": _endpoint()}
    try:
        path = hub.hf_hub_download(name, WEIGHTS, **options)
    except Exception as error:  # of the hub's client, of its HTTP library, of the system
        raise ModelFileError(f"{name}: cannot be had from the hub ({_reason(error)})") from error
    return load_model(path)


def _check_repo(repo: str) -> None:
    if not _REPO.fullmatch(repo):
        raise UsageError(f"{repo!r} is no name on a hub: give owner/name")


def _endpoint() -> str | None:
    """The hub's address as the environment says now; its client looks only once, when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
