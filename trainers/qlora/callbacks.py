"""What Tower adds to the training loop of transformers: events, when to save, complete checkpoints, stop on request."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from . import checkpoints
from .config import TrainConfig
from .events import EventWriter
from .stop import StopRequest


class TowerCallback(TrainerCallback):
    """One instance serves one ``Trainer.train()`` call."""

    def __init__(
        self,
        config: TrainConfig,
        fingerprint: str,
        events: EventWriter,
        stop: StopRequest,
        evaluate: Callable[[int], float | None],
    ) -> None:
        self._config = config
        self._fingerprint = fingerprint
        self._events = events
        self._stop = stop
        self._evaluate = evaluate
        self._started = self._saved = time.monotonic()
        self._first_step = 0
        self.tokens = 0
        """Input tokens of this launch, without padding."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._started = self._saved = time.monotonic()
        self._first_step = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        last = state.global_step >= state.max_steps
        if self._stop.made or last or self._is_save_due(state.global_step):
            # A log with every save: the loss since the last one is no part of the saved state.
            control.should_save = control.should_log = True
        if self._stop.made:
            control.should_training_stop = True

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs: dict[str, float] = kwargs["logs"]
        if "loss" not in logs:
            return
        seconds = max(time.monotonic() - self._started, 1e-6)
        rate = (state.global_step - self._first_step) / seconds
        self._events.emit(
            "step",
            step=state.global_step,
            totalSteps=state.max_steps,
            epoch=state.epoch,
            loss=logs["loss"],
            learningRate=logs["learning_rate"],
            tokensPerSecond=round(self.tokens / seconds, 2),
            stepsPerSecond=round(rate, 6),
            etaSeconds=round((state.max_steps - state.global_step) / rate, 1),
        )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        started = time.monotonic()
        output = Path(str(args.output_dir))
        name = f"checkpoint-{state.global_step}"
        size = checkpoints.seal(output / name, state.global_step, self._fingerprint, self._config.optimiser)
        self._saved = time.monotonic()
        self._events.emit(
            "checkpoint", step=state.global_step, path=name, bytes=size, seconds=round(self._saved - started, 3)
        )
        checkpoints.remove_old(output, self._config.keep_checkpoints)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step < state.max_steps and not self._stop.made:
            self._evaluate(state.global_step)

    def _is_save_due(self, step: int) -> bool:
        every_steps, every_minutes = self._config.checkpoint_every_steps, self._config.checkpoint_every_minutes
        if every_steps is not None and step % every_steps == 0:
            return True
        return every_minutes is not None and time.monotonic() - self._saved >= every_minutes * 60
