"""A model with huggingface_hub's mixin: the one module that needs that package at once, imported where it is used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self, cast

from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download

from pronas.networks import Network
from pronas.sharing._card import Card, card_of_model, card_text, write_picture
from pronas.training import Model, ModelSpec, load_model, save_model

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class HubModel(Model, ModelHubMixin, library_name="pronas"):
    """A network that a hub keeps: `Model`, with the mixin's ``save_pretrained``, ``push_to_hub``, ``from_pretrained``.

    What it writes and reads are model files of pronas, so what comes from elsewhere is checked as any.

    Args:
        network: in evaluation mode.
        spec: cell, skeleton, shape of images, class names and figures.
        card: what there is to tell of it; None: what the model itself knows.
    """

    # the mixin notes in an instance what it was made from, which a frozen one refuses
    __setattr__ = object.__setattr__

    def __init__(self, network: Network, spec: ModelSpec, card: Card | None = None) -> None:
        super().__init__(network, spec)
        self.card = card

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write weights, description and the cell's picture; the mixin adds the card."""
        save_model(self.network, save_directory / WEIGHTS, self.spec)
        (save_directory / WEIGHTS).with_suffix(".json").replace(save_directory / CONFIG)
        write_picture(self.spec.cell, save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """Read weights from a folder or the hub; ``config.json``, which the mixin reads, is for people alone."""
        names = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        if os.path.isdir(model_id):
            path = os.path.join(model_id, WEIGHTS)
        else:
            path = cast(str, hf_hub_download(model_id, WEIGHTS, **{name: options[name] for name in names}))
        model = load_model(path)
        return cls(model.network, model.spec)

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """As the mixin's; the card says how to get it from there."""
        told = {"repo": repo_id, **(model_card_kwargs or {})}
        return str(super().push_to_hub(repo_id, model_card_kwargs=told, **options))

    def generate_model_card(self, repo: str | None = None) -> ModelCard:
        """Return the card, which names ``repo`` as where it is."""
        card = self.card or card_of_model(self, (repo or "A network").rpartition("/")[2])
        return ModelCard(card_text(card, repo))
