"""Slack and Google Cloud on a laptop, speaking the real protocols; knows nothing of bot or pipeline."""
