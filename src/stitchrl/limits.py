"""What a hyper-parameter of a name can be, and why: for plans and for Python alike."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

# In words, and as a test. Names that are not here are free.
_SHARE = ("above 0 and at most 1", lambda value: 0 < value <= 1)
_POSITIVE = ("above 0", lambda value: value > 0)
_NOT_NEGATIVE = ("0 or more", lambda value: value >= 0)
_COUNT = ("1 or more", lambda value: value >= 1)
LIMITS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "expectile": ("above 0 and below 1", lambda value: 0 < value < 1),
    **dict.fromkeys(
        ("threshold", "minimum_share"), ("from 0 to 1", lambda value: 0 <= value <= 1)
    ),
    **dict.fromkeys(("discount", "target_rate", "best_share"), _SHARE),
    **dict.fromkeys(("learning_rate", "actor_learning_rate"), _POSITIVE),
    **dict.fromkeys(("max_weight", "initial_temperature", "total_updates"), _POSITIVE),
    **dict.fromkeys(("weight_learning_rate", "inverse_temperature"), _NOT_NEGATIVE),
    **dict.fromkeys(("conservative_weight", "logit_weight", "q_weight"), _NOT_NEGATIVE),
    **dict.fromkeys(("value_temperature", "max_exponent", "huber_threshold"), _POSITIVE),
    "diversity_weight": _NOT_NEGATIVE,
    **dict.fromkeys(("target_noise", "target_noise_clip"), _NOT_NEGATIVE),
    **dict.fromkeys(("initial_weight", "actor_weight", "cloning_updates"), _NOT_NEGATIVE),
    **dict.fromkeys(("clone_weight", "actor_penalty", "critic_penalty"), _NOT_NEGATIVE),
    **dict.fromkeys(("target_divergence", "largest_step", "prior_weight"), _NOT_NEGATIVE),
    **dict.fromkeys(("batch_size", "hidden", "ensemble"), _COUNT),
    **dict.fromkeys(("action_samples", "actor_period"), _COUNT),
    **dict.fromkeys(("target_samples", "candidates"), _COUNT),
    **dict.fromkeys(("generator_hidden", "critic_hidden"), _COUNT),
}

# Why: what would happen beyond the limit. Where nothing stands, the name says it.
_LEARNS_NOTHING = "At 0 nothing is learned, and below it losses are climbed."
REASONS: dict[str, str] = {
    "expectile": "1 stands for the largest value that any logged action ever led to (where "
    "a pair was seen once, one lucky outcome would set it), 0 for the smallest.",
    "threshold": "It is compared with how probable an action is, relative to the most "
    "probable one.",
    "discount": "At 0 nothing counts but the next reward, and above 1 values of long "
    "episodes grow without bound.",
    "target_rate": "At 0 targets never move, and above 1 they overshoot what they follow.",
    "best_share": "0 keeps nothing to imitate, and 1 is every episode.",
    **dict.fromkeys(("learning_rate", "actor_learning_rate"), _LEARNS_NOTHING),
    "max_weight": "It bounds weights that are positive.",
    "initial_temperature": "It is learned as a logarithm.",
    "total_updates": "The learning rate falls over this many updates.",
    "inverse_temperature": "A negative one would prefer the worst actions.",
    "conservative_weight": "A negative one would praise actions that nobody logged.",
    "initial_weight": "A negative one would praise actions that nobody logged.",
    "q_weight": "A negative one would prefer the worst actions.",
    "logit_weight": "A negative one would reward imitating too confidently.",
    "batch_size": "A batch without rows teaches nothing.",
    "hidden": "A layer without units passes nothing on.",
    "ensemble": "Without a critic there is nothing to learn from.",
    "action_samples": "A sum over no actions says nothing about them.",
    "actor_period": "It counts updates of the critics for each one of the actor.",
}


def impossible(name: str, value: Any) -> str | None:
    """What is wrong with a hyper-parameter of this name, as the end of a sentence."""
    words, is_possible = LIMITS.get(name, ("a finite number", math.isfinite))
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if all(math.isfinite(number) and is_possible(number) for number in numbers):
        return None
    return f"must be {words}, but got {value!r}. {REASONS.get(name, '')}".rstrip()


def require_possible(algorithm: Any, names: list[str]) -> None:
    """Raise `ValueError` naming the first of these fields that is beyond its limit.

    Arrays are let pass, traced ones among them: their numbers are not known here.
    """
    for name in names:
        value = getattr(algorithm, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if name not in LIMITS or not all(isinstance(number, Real) for number in numbers):
            continue
        if (wrong := impossible(name, value)) is not None:
            raise ValueError(f"{type(algorithm).__name__}.{name} {wrong}")
