"""Whether a policy made a log: by hand, and on logs of it and of others."""

import numpy as np
import pytest

from stitchrl.ope.following import following

POLICY, OTHER = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
OWN = float(POLICY @ POLICY)


def by(maker: np.ndarray, *, seed: int, size=2000, share=1.0, with_propensity=False):
    """A log of groups of four decisions, in which `maker` decides."""
    action = np.random.default_rng(seed).choice(3, size, p=maker)
    return following(
        POLICY[action],
        np.full(size, OWN),
        np.arange(size) // 4,
        share=share,
        propensity=maker[action] if with_propensity else None,
    )


def test_by_hand():
    logged, own = np.array([0.6, 0.1, 0.3, 0.6]), np.full(4, 0.46)
    found = following(
        logged,
        own,
        np.array([0, 0, 1, 1]),
        propensity=np.array([0.6, 0.5, 0.3, 0.605]),
    )
    assert (found.agreement, found.expected) == pytest.approx((0.4, 0.46))
    assert found.error == pytest.approx(np.sqrt(2 * (0.1**2 + 0.1**2)) / 4)
    assert found.foreign_share == 0.25 and found.agrees and not found.is_plausible


def test_certain_policies_are_followed_or_not():
    group = np.arange(100)
    followed = following(np.ones(100), np.ones(100), group)
    assert followed.is_plausible and followed.error == 0.0
    often = following((group >= 30).astype(float), np.ones(100), group)
    assert often.agreement == 0.7 and not often.is_plausible


def test_its_own_logs_are_plausible_and_those_of_others_are_not():
    assert all(by(POLICY, seed=seed).is_plausible for seed in range(50))
    assert not any(by(OTHER, seed=seed).is_plausible for seed in range(50))


def test_a_mixture_agrees_at_least_as_often():
    """Half the decisions by the policy, half by another: more than .5 · .46 agree."""
    mixed = (POLICY + OTHER) / 2
    found = by(mixed, seed=0, share=0.5, with_propensity=True)
    assert found.expected == pytest.approx(0.23) and found.foreign_share == 0.0
    assert found.is_plausible
    never = by(np.array([0.0, 0.0, 1.0]), seed=0, share=0.5)
    assert not never.is_plausible


def test_propensities_tell_where_agreement_cannot():
    """A uniform policy agrees with everyone one time in three."""
    action = np.random.default_rng(0).choice(3, 900, p=OTHER)
    third, group = np.full(900, 1 / 3), np.arange(900)
    assert following(third, third, group).is_plausible
    found = following(third, third, group, propensity=OTHER[action])
    assert found.agrees and found.is_foreign and not found.is_plausible
