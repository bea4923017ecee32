"""Doors to the outside, one file per door; `resources_for` is the only place that chooses."""
