"""Tests of the trainer, all on a CPU."""
