"""Sensors decide, runs act: a sensor reads decisions that assets wrote, and requests runs. One per file.

Put here: what is due. Not here: how a level is judged (see `core/tickets.py`), acting (see `assets/tickets.py`).
A tick reads little, calls no service but a cheap poll, and is safe to replay: what was done is in the ledger.
"""

DAY_TAG = "signals/day"
"""Run tag: the day whose tables an acting run reads."""
EPISODE_TAG = "signals/episode"
"""Run tag: the episode of a crossing that an acting run handles."""
