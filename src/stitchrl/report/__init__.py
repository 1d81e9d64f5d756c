"""The report: `schema` says what it contains, `render` makes one HTML file of it.

Only numbers and words come in. Nothing here trains, estimates, reads or saves. Beside the
report stands `figures_scores`, which asks `aggregates` for what it draws.
"""
