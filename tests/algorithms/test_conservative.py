"""What CQL and its variants share, against numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from stitchrl.algorithms.cal_ql import CalQL
from stitchrl.algorithms.conservative import push_down, return_weights, unlikeliness
from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.discrete_weighted_cql import DiscreteWeightedCQL
from stitchrl.algorithms.weighted_cql import WeightedCQL
from stitchrl.experience import Experience
from stitchrl.returns import returns_to_go
from stitchrl.spaces import Continuous, Discrete, Spec
from stitchrl.testing import small_log

Q = jnp.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
CLOSED = jnp.where(jnp.array([True, False, True]), Q, -jnp.inf)
WEIGHT = jnp.array([1.0, 7.0, 3.0])


def test_pushing_down_by_hand():
    expected = [logsumexp([1.0, 2.0, 3.0]), np.log(3)]
    np.testing.assert_allclose(push_down(Q, "entropy"), expected, rtol=1e-6)
    expected = [logsumexp([1.0, 3.0]), np.log(2)]
    np.testing.assert_allclose(push_down(CLOSED, "entropy"), expected, rtol=1e-6)
    np.testing.assert_allclose(push_down(Q, "uniform"), [2, 0], rtol=1e-6)
    np.testing.assert_allclose(push_down(CLOSED, "uniform"), [2, 0], rtol=1e-6)


def test_weights_are_scaled_to_mean_one_over_what_is_allowed():
    # Of 1 and 3, that is ½ and 3/2; what is closed does not count.
    expected = np.log([0.5 * np.exp(1) + 1.5 * np.exp(3), 2])
    found = push_down(CLOSED, "entropy", WEIGHT)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = push_down(CLOSED, "uniform", WEIGHT)
    np.testing.assert_allclose(found, [(0.5 + 4.5) / 2, 0], rtol=1e-6)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("form", ["entropy", "uniform"])
def test_forbidden_actions_get_no_gradient_and_spoil_none(form: str, weight):
    def loss(q: jax.Array) -> jax.Array:
        q = jnp.where(jnp.array([True, False, True]), q, -jnp.inf)
        return push_down(q, form, weight)[0]

    slopes = np.asarray(jax.grad(loss)(Q))
    assert np.isfinite(slopes).all() and (slopes[:, 1] == 0).all()
    assert slopes[0].sum() == pytest.approx(1, abs=1e-6) and (slopes[0, [0, 2]] > 0).all()


def test_a_sole_action_keeps_its_push_however_surely_it_was_logged():
    weight = unlikeliness(jnp.array([1.0]))
    assert weight > 0
    for form in ("entropy", "uniform"):
        np.testing.assert_allclose(push_down(Q[:, :1], form, weight), [1, 0], atol=1e-6)
    np.testing.assert_allclose(
        unlikeliness(jnp.array([0.0, 0.25, 0.5])), [1, 0.6, 1 / 3], rtol=1e-6
    )


def test_returns_to_go_by_hand():
    reward = jnp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    ends = jnp.array([False, False, True, False, True])
    expected = [1 + 0.5 * (2 + 0.5 * 3), 2 + 0.5 * 3, 3, 4 + 0.5 * 5, 5]
    np.testing.assert_allclose(returns_to_go(reward, ends, 0.5), expected, rtol=1e-6)


def log_returns(discount: float, after_a_cut: float) -> np.ndarray:
    """Returns-to-go of the small log, summed in float64, row by row from behind."""
    log, found, following = small_log("continuous"), [], 0.0
    for i in reversed(range(log.size)):
        if log.terminated[i]:
            following = 0.0
        if log.truncated[i]:
            following = after_a_cut
        following = float(log.reward[i]) + discount * following
        found.append(following)
    return np.array(found[::-1])


def test_weights_of_returns():
    weight = return_weights(Experience.of(small_log("continuous")))
    returns = log_returns(1.0, 0.0)
    expected = np.exp((returns - returns.mean()) / returns.std()).clip(0.1, 10)
    assert (expected == 10).any() or (expected == 0.1).any()
    np.testing.assert_allclose(weight, expected / expected.mean(), rtol=1e-4)


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_after_a_truncation_cal_ql_expects_the_worst_reward_for_ever(discount: float):
    log = small_log("continuous")
    data = CalQL(discount=discount).prepare(Experience.of(log))
    assert np.isfinite(data.of_return).all()
    if discount < 1:
        expected = log_returns(discount, float(log.reward.min()) / (1 - discount))
        np.testing.assert_allclose(data.of_return, expected, rtol=1e-4, atol=1e-4)


def test_what_is_off_leaves_no_trace_in_the_state():
    key, four, two = jax.random.key(0), Spec(2, Discrete(4)), Spec(2, Continuous(2))
    tiny = {"hidden": (4,)}
    assert DiscreteCQL(**tiny).init(key, four).weight is None
    assert DiscreteCQL(**tiny, learns_weight=True).init(key, four).weight is not None
    off = DiscreteWeightedCQL(**tiny, weigh_push_down=False)
    assert off.init(key, four).behavior is None
    off = {**tiny, "weigh_push_down": False}
    assert WeightedCQL(**off).init(key, two).behavior is None
    assert WeightedCQL(**off, actor_term="kl").init(key, two).behavior is not None


def test_critics_may_be_deeper_than_the_actor():
    state = CQL(hidden=(4,), critic_hidden=(5, 6)).init(
        jax.random.key(0), Spec(2, Continuous(2))
    )
    assert len(state.actor.network.mlp.layers) == 2
    layers = state.critics.network.members.mlp.layers
    assert [layer.bias.shape[1] for layer in layers] == [5, 6, 1]


@pytest.mark.parametrize(
    "cls, wrong",
    [
        (CQL, {"form": "entrpy"}),
        (DiscreteCQL, {"form": "mean"}),
        (CalQL, {"form": "uniform"}),
        (WeightedCQL, {"actor_term": "bcc"}),
    ],
)
def test_unknown_forms_are_refused_by_name(cls: type, wrong: dict):
    ((name, value),) = wrong.items()
    with pytest.raises(
        ValueError, match=f"{cls.__name__}.{name}' must be .* but got '{value}'"
    ):
        cls(**wrong)
