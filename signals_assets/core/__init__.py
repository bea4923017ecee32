"""Pure thinking: frames and models in, frames and models out.

No Dagster, no client, no clock, no files (except the package's own data). Randomness and time come in as
arguments. One module per stage of the graph, plus `readers/`, `detectors/` and `barrier/`.
"""
