"""The training loop: image-major epochs, with validation and a checkpoint after each epoch."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hgan.data.batches.epoch import training_batches
from hgan.data.batches.prefetch import prefetch
from hgan.data.batches.types import Batch
from hgan.data.captions.known import check_training_photos, dataset_key
from hgan.data.captions.read import read_captions
from hgan.encoded import final_level
from hgan.errors import ConfigError, ProcessError
from hgan.evaluation.evaluate import choose_weights, evaluate
from hgan.launch import is_first_process, join
from hgan.model.io import TrainedModel
from hgan.model.matcher import Matcher
from hgan.progress import console, progress
from hgan.torch_device import torch_device
from hgan.training.accelerator import make_accelerator, precision
from hgan.training.agreement import check_data, check_settings
from hgan.training.batch_loss import BatchLoss
from hgan.training.config import Config
from hgan.training.data import (
    add_mosaics,
    cache_states,
    run_augmenter,
    run_datasets,
    run_features,
)
from hgan.training.distributed import average_gradients, check_batch, copy_weights, epoch_seed
from hgan.training.folder import (
    lost_process,
    not_finite,
    only_process,
    out_of_memory,
    run_folder,
)
from hgan.training.losses.loss import Loss, build_loss
from hgan.training.monitor import collapse_warning, rsum_of, summary
from hgan.training.schedule import make_optimizer, make_schedule
from hgan.training.state import RunState
from hgan.training.trackers import Trackers, check_trackers, tracking


@dataclass
class Result:
    """The result of a run."""

    best: Path
    """Folder of the checkpoint with the highest rSum on validation."""
    epoch: int
    """Epoch of this checkpoint, counted from 1."""
    rsum: float
    """rSum of this checkpoint on validation."""


def train(config: Config, resume: bool = False, stop_after: int | None = None) -> Result:
    """Train a model. The checkpoint is chosen on the validation split; the test split is not used.
    Processes that a launcher such as `accelerate launch` has started share every batch.

    Args:
        config: settings of the run.
        resume: continue after the last finished epoch, if there is one.
        stop_after: stop after this many epochs, as if the run was interrupted.

    Raises:
        DataError: captions, photos or features are missing, damaged or do not match.
        ConfigError: photos to train on are those of `coco_mini_val`; the features were extracted
            with another grid or size than the settings say; a tracker is not installed or cannot be
            started; the folder of the run contains a run that cannot be continued: `resume` is
            false, or it has other settings; or several processes do not agree.
        TrainingError: the loss is not finite, the folder of the run cannot be written, another
            process trains the run, or one of several processes has ended. The checkpoint of the
            last finished epoch is kept.
    """
    check_trackers(config.track)  # said before the data are read, which can take minutes
    if is_first_process():
        with only_process(run_folder(config), create=False):
            pass  # said then, too
    return Trainer(config, resume).run(stop_after)


class Trainer:
    """Runs the training loop on a model, its optimiser and its schedule.

    Attributes:
        model: the model in training, with its tokenizer and settings.
        averaged: exponential moving average of the weights, which is evaluated and saved.
        state: what the run has reached.
    """

    def __init__(self, config: Config, resume: bool) -> None:
        self.config = config
        self.folder = run_folder(config)
        self.processes = join(torch_device())
        check_settings(self.processes, config, precision(config), resume=resume)
        self.accelerator = make_accelerator(config)
        captions = read_captions(config.data.captions)
        check_training_photos(captions, config.data.captions)
        store = run_features(config, captions, self.processes)
        captions = captions.without(store.skipped)
        set_seed(config.seed)  # after extraction, which not every run of these settings does
        self.model = TrainedModel.create(
            config.model,
            config.vision,
            config.text,
            store.width,
            store.boxes,
            captions.split("train").texts,
            store.context_width,
        )
        network = self.model.network
        self.train_data, self.val_data = run_datasets(config, captions, store, self.model)
        self.augmenter = run_augmenter(config, self.model)
        self.steps = len(self.train_data.rows) // self._batch_images() // config.optim.accumulate
        check_batch(self.processes, config, self._batch_images(), self.steps, network.train())
        check_data(self.processes, {"train": self.train_data, "val": self.val_data[0]}, network)
        device = self.accelerator.device
        cache_states(config, self.train_data, self.val_data, self.model, self.processes, device)
        if config.vision.mosaics and network.uses_mosaics:
            add_mosaics(config, self.train_data, self.processes)
        if network.losses and config.loss.name not in network.losses:
            raise ConfigError(
                f"loss.name: {config.loss.name}, but {type(network).title} is defined by its loss; "
                f"set loss.name to {' or '.join(network.losses)}, or choose another model.name"
            )
        criterion = build_loss(config.loss, network.level_names)
        criterion.start_from(network.temperatures)
        optimizer = make_optimizer(network, criterion, config.optim)
        schedule = make_schedule(optimizer, config.optim, self.steps * config.optim.epochs)
        # Not wrapped for several processes: gradients are averaged here, see `average_gradients`.
        self.network, self.criterion = (
            self.accelerator.prepare_model(module, evaluation_mode=True)
            for module in (network, criterion)
        )
        self.optimizer, self.schedule = self.accelerator.prepare(optimizer, schedule)
        copy_weights(self.processes, network, criterion)
        self.loss_of = BatchLoss(
            network, criterion, config.optim, self.processes, self.accelerator.autocast
        )
        average = get_ema_multi_avg_fn(config.optim.ema)  # type: ignore[no-untyped-call]
        # Buffers are copied, not averaged: some hold token ids and positions.
        self.averaged = AveragedModel(network, multi_avg_fn=average)
        if config.optim.compile:  # the averaged network, a copy, is not in every step
            for name in ("encode_image", "encode_text"):
                setattr(network, name, torch.compile(getattr(network, name), dynamic=True))
        names = ("network", "averaged", "criterion", "optimizer", "schedule")
        parts = {name: getattr(self, name) for name in names}
        self.state = RunState(config, parts, self.processes)
        self.trackers = Trackers({})
        self._resume = resume

    @property
    def history(self) -> list[dict[str, float]]:
        """For each finished epoch, a row of values such as the loss."""
        return self.state.history

    def _batch_images(self) -> int:
        return min(self.config.optim.batch_images, len(self.train_data.rows))

    # --- the loop

    def run(self, stop_after: int | None) -> Result:
        """Train the remaining epochs."""
        epochs = self.config.optim.epochs
        last = epochs if stop_after is None else min(epochs, stop_after)
        try:
            with (
                only_process(self.folder) if self.processes.is_first else nullcontext(),
                progress("train", total=epochs * self.steps, unit="batches") as bar,
            ):
                self._train(last, bar)
        except ProcessError as error:
            raise lost_process(self.folder, error, self.state.saved) from error
        best = self.state.best
        return Result(self.folder / "best", best["epoch"], best["rsum"])

    def _train(self, last: int, bar: Any) -> None:
        """Train until this many epochs are finished."""
        self.state.open_folder(self._resume)
        if self.model.network.has_prior and not self.history:
            self._report_prior()
        done = len(self.history) * self.steps
        bar.advance(done)
        tracked = tracking(self.config, self.folder, done)
        with tracked if self.processes.is_first else nullcontext(Trackers({})) as self.trackers:
            try:
                while len(self.history) < last:
                    self._finish(self._epoch(len(self.history), bar))
            except torch.OutOfMemoryError as error:  # of a step, or of a batch being made
                raise out_of_memory(self._batch_images()) from error

    def _finish(self, row: dict[str, float]) -> None:
        """Validate, save and report a trained epoch, whose row of the history this is."""
        row |= self._validate()
        self.history.append(row)
        # Before it is saved: if the process is killed in between, the resumed run repeats both.
        self.trackers.log("epoch", row, len(self.history) * self.steps)
        self._save(row)
        self._report(row)

    def _epoch(self, epoch: int, bar: Any) -> dict[str, float]:
        """Train one epoch; return the first values of its row of the history."""
        self.network.train()
        self._loss().start_epoch(epoch)
        if self.processes.count > 1:  # each process draws its own, and a resumed run the same
            torch.manual_seed(epoch_seed(self.config.seed, epoch, self.processes.rank))
        start, losses, captions = time.perf_counter(), [], 0
        stepwise = [iter(self._batches(epoch))] * self.config.optim.accumulate
        # An incomplete last group of batches is dropped, as an incomplete last batch is.
        for step, batches in enumerate(zip(*stepwise, strict=False), start=1):
            try:
                losses.append(self._step(*batches))
            except FloatingPointError as error:
                where, data = (epoch + 1, step), self.train_data.captions
                raise not_finite(
                    self.folder, str(error), where, batches, data, self.processes.is_first
                ) from error
            values = {"loss": losses[-1], "rate": self.schedule.get_last_lr()[0]}
            self.trackers.log("step", values, epoch * self.steps + step)
            captions += sum(len(batch.image_of) for batch in batches)
            rate = captions / (time.perf_counter() - start)
            best = f" best rSum {self.state.best['rsum']:.1f}" if self.history else ""
            bar.advance()
            bar.note(f"epoch {epoch + 1} loss {losses[-1]:.3f} {rate:.0f} captions/s{best}")
        seconds = time.perf_counter() - start
        return {
            "epoch": epoch + 1,
            "loss": float(np.mean(losses)),
            "rate": self.schedule.get_last_lr()[0],
            "images_per_second": len(losses) * len(stepwise) * self._batch_images() / seconds,
            "captions_per_second": captions / seconds,
        }

    def _batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch on the device; for a GPU, they are made while it computes."""
        device = self.accelerator.device
        batches = training_batches(
            self.train_data,
            self.augmenter,
            self.config.optim,
            self.config.seed,
            epoch,
            self.processes,
        )
        moved = (batch.to(device) for batch in batches)
        return moved if device.type == "cpu" else prefetch(moved)

    def _step(self, *batches: Batch) -> float:
        """Train one step on batches whose gradients are averaged; return the mean of their losses.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; no weight is changed.
        """
        self.optimizer.zero_grad(set_to_none=True)
        values = []
        for batch in batches:
            loss = self.loss_of(batch)
            values.append(float(loss.detach()))
            if not isfinite(values[-1]):
                raise FloatingPointError(f"the loss is {values[-1]}")
            self.accelerator.backward(loss)  # of loss / number of batches
        parameters = *self.network.parameters(), *self.criterion.parameters()
        average_gradients(self.processes, parameters)
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.optim.clip)
        if not isfinite(float(norm)):
            raise FloatingPointError(f"the norm of the gradient is {float(norm)}")
        self.optimizer.step()
        self._loss().after_step()
        self.schedule.step()
        self.averaged.update_parameters(self.accelerator.unwrap_model(self.network))
        return float(np.mean(values))

    def _validate(self) -> dict[str, float]:
        """Choose the level weights on validation; return the rSum of each level and of S, and the
        final rSum on the second validation set."""
        network = self._evaluated()
        network.eval()
        weights, (self.metrics, *others) = choose_weights(
            network, *self.val_data, processes=self.processes
        )
        network.set_weights(weights)
        self.accelerator.unwrap_model(self.network).set_weights(weights)
        row = {f"rsum_{name}": found.rsum for name, found in self.metrics.items()}
        for found in others:  # at most one
            row["open_rsum"] = found[final_level(found)].rsum
        return row

    def _report_prior(self) -> None:
        """Print the final rSum on validation of what is known before training."""
        found = evaluate(self._evaluated().eval(), self.val_data[0], self.processes)
        level = final_level(found)
        console.print(f"before training  val rSum  {level} {found[level].rsum:.1f} (the prior's)")

    def _evaluated(self) -> Matcher:
        """The averaged network, which is evaluated and saved."""
        network = self.averaged.module
        assert isinstance(network, Matcher)
        return network

    def _loss(self) -> Loss:
        loss = self.accelerator.unwrap_model(self.criterion)
        assert isinstance(loss, Loss)
        return loss

    # --- what is kept and told

    def _save(self, row: dict[str, float]) -> None:
        """Save the state, and the model if it is the best so far."""
        self.state.save(row, rsum_of(row), self._best_model)

    def _best_model(self) -> TrainedModel:
        """The averaged network as a model, with the facts of its card."""
        return TrainedModel(
            self._evaluated(),
            self.model.tokenizer,
            self.config.vision,
            self.config.text,
            self.model.boxes,
            facts={
                "captions": self.config.data.captions.name,
                "data set": dataset_key(self.config.data.captions) or "own captions",
                "training photos": len(self.train_data.rows),
                "seed": self.config.seed,
                "epoch": f"{self.state.best['epoch']} of {self.config.optim.epochs}",
                "chosen on": "val" if len(self.val_data) == 1 else "val and open val",
                "rSum on val": {n.removeprefix("rsum_"): m.rsum for n, m in self.metrics.items()},
                "recall on val": self.metrics[final_level(self.metrics)].recalls(),
            },
        )

    def _report(self, row: dict[str, float]) -> None:
        console.print(summary(row))
        losses = [past["loss"] for past in self.history]
        warning = collapse_warning(losses, self._chance_level(), self._loss().remedy)
        if warning:
            console.print(warning, style="bold red")

    def _chance_level(self) -> float:
        """The loss of a model that gives every pair the same score."""
        images = self._batch_images()
        most = self.config.optim.captions_per_image
        drawn = np.mean([min(len(own), most) for own in self.train_data.captions_of])
        return self._loss().chance_level(images, float(images * drawn))
