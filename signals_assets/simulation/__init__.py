"""Simulation: an agent's life with planted truth, written as files that the ordinary file doors read.

Put here: sessions, releases, logs, votes, pull requests and fixes of a made-up product, from a seed.
Not here: anything that reads them (the flow never knows that they are simulated). The simulation proves plumbing,
statistics and crash safety; the quality of detectors and grouping is quoted from real text only.

Its modules are one piece and may import each other downwards: words -> artifacts -> population -> story -> scene ->
work -> moments -> composition, backend, developer -> code_changes, folder -> world.
"""

from signals_assets.simulation.developer import Action
from signals_assets.simulation.folder import Summary
from signals_assets.simulation.story import COMPONENTS
from signals_assets.simulation.world import World, simulate

__all__ = ["COMPONENTS", "Action", "Summary", "World", "simulate"]
