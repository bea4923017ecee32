"""Signals: open-source session intelligence for AI agents, as a Dagster asset graph.

Only this sentence and the version live here; importing the package must stay free of side effects.
"""

__version__ = "0.1.0"
