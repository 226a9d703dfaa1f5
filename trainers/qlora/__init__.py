"""QLoRA fine-tuning as a child process of Tower: one configuration in, JSON events and complete checkpoints out."""
