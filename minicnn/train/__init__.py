"""Floor 4: the training loop, what watches it, and what it leaves on disk."""

from minicnn.train.callbacks import Callback, Checkpoint
from minicnn.train.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from minicnn.train.early_stopping import EarlyStopping
from minicnn.train.history import History
from minicnn.train.moving_average import MovingAverage
from minicnn.train.snapshots import Snapshots
from minicnn.train.step_history import StepHistory
from minicnn.train.tensorboard import TensorBoard
from minicnn.train.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "MovingAverage",
    "Snapshots",
    "StepHistory",
    "TensorBoard",
    "Trainer",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
    "save_weights",
]
