"""What a hyper-parameter of a name can be, and why: for plans and for Python alike."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

Rule = tuple[str, Callable[[float], bool]]  # In words, and as a test.

_FRACTION: Rule = ("from 0 to 1", lambda value: 0 <= value <= 1)
_SHARE: Rule = ("above 0 and at most 1", lambda value: 0 < value <= 1)
_POSITIVE: Rule = ("above 0", lambda value: value > 0)
_NOT_NEGATIVE: Rule = ("0 or more", lambda value: value >= 0)
_COUNT: Rule = ("1 or more", lambda value: value >= 1)
_NAMES: dict[Rule, str] = {
    ("above 0 and below 1", lambda value: 0 < value < 1): "expectile",
    ("0 or more and below 1", lambda value: 0 <= value < 1): "momentum",
    _FRACTION: "threshold minimum_share target_quantile trace_decay",
    _SHARE: "discount target_rate best_share",
    _POSITIVE: """
        learning_rate actor_learning_rate max_weight initial_temperature total_updates
        value_temperature max_exponent huber_threshold temperature value_scale action_std
    """,
    _NOT_NEGATIVE: """
        weight_learning_rate inverse_temperature conservative_weight logit_weight q_weight
        diversity_weight target_noise target_noise_clip initial_weight actor_weight
        cloning_updates clone_weight actor_penalty critic_penalty target_divergence
        largest_step prior_weight weight_decay kl_weight
    """,
    _COUNT: """
        batch_size hidden ensemble action_samples actor_period target_samples candidates
        generator_hidden critic_hidden target_period window
    """,
}
# Names that are not here are free.
LIMITS: dict[str, Rule] = {
    name: rule for rule, names in _NAMES.items() for name in names.split()
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
    "momentum": "At 1 no step would ever be forgotten.",
    **dict.fromkeys(
        ("minimum_share", "target_quantile", "trace_decay"), "It divides a whole in two."
    ),
    **dict.fromkeys(
        ("temperature", "value_temperature", "action_std"), "Numbers are divided by it."
    ),
    "value_scale": "What a network says is multiplied by it.",
    "max_exponent": "It bounds what a lucky outcome counts, which must be something.",
    "huber_threshold": "Errors below it are squared: there must be some.",
    **dict.fromkeys(
        ("clone_weight", "actor_penalty", "critic_penalty", "actor_weight", "kl_weight"),
        "A negative one would drive the policy away from the log.",
    ),
    "diversity_weight": "A negative one would make critics alike.",
    "prior_weight": "A negative one would drive latents away from their prior.",
    "weight_decay": "A negative one would make weights grow.",
    "largest_step": "It is how far an action may be moved, in either direction.",
    "target_divergence": "A divergence is never negative.",
    **dict.fromkeys(("generator_hidden", "critic_hidden"), "A layer needs units."),
    **dict.fromkeys(
        ("target_samples", "candidates"), "A choice needs something to choose."
    ),
    "target_period": "It counts updates between two copies.",
    "window": "A return has at least one reward.",
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
