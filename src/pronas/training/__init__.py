"""Recipes, one fast training loop, model files; ``NetworkManager`` turns cells into rewards. See ARCHITECTURE.md."""

from pronas.training._checkpoint import read_checkpoint, write_checkpoint
from pronas.training._evaluate import Evaluation, evaluate
from pronas.training._loop import DivergedError, Epoch, Training
from pronas.training._losses import make_loss, register_loss, total_loss
from pronas.training._malloc_tuning import keep_freed_memory
from pronas.training._manager import NetworkManager
from pronas.training._model import Model, ModelSpec, load_model, save_model, spec_of
from pronas.training._optimizers import make_optimizer, register_optimizer
from pronas.training._published import load_published
from pronas.training._recipe import Recipe
from pronas.training._recipes import RECIPES, recipe
from pronas.training._replicas import Replicas
from pronas.training._result import ChildProgress, ChildResult
from pronas.training._schedules import rate_at, register_schedule
from pronas.training._speed import images_per_second
from pronas.training._step import Step
from pronas.training._stepper import Stepper
from pronas.training._tensor_files import digest_of
from pronas.training._tensors import Tensors
from pronas.training._train_network import Replan, TrainedNetwork, train_network
from pronas.training._trial import Trial

__all__ = [
    "RECIPES",
    "ChildProgress",
    "ChildResult",
    "DivergedError",
    "Epoch",
    "Evaluation",
    "Model",
    "ModelSpec",
    "NetworkManager",
    "Recipe",
    "Replan",
    "Replicas",
    "Step",
    "Stepper",
    "Tensors",
    "TrainedNetwork",
    "Training",
    "Trial",
    "digest_of",
    "evaluate",
    "images_per_second",
    "keep_freed_memory",
    "load_model",
    "load_published",
    "make_loss",
    "make_optimizer",
    "rate_at",
    "read_checkpoint",
    "recipe",
    "register_loss",
    "register_optimizer",
    "register_schedule",
    "save_model",
    "spec_of",
    "total_loss",
    "train_network",
    "write_checkpoint",
]
