"""Data sets made from packages of a registry, with the truth about any policy.

Nothing is downloaded: simulators come with `pip install 'stitchrl[zoo]'`, what they make is
compared with the hash that it must have, and the same simulators say what a policy that was
learned from it is really worth.
"""

from stitchrl.zoo.entry import Entry, Scale, Score, Truth, Value
from stitchrl.zoo.registry import ENTRIES, find

__all__ = ["ENTRIES", "Entry", "Scale", "Score", "Truth", "Value", "find"]
