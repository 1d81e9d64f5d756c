"""FQE by networks on problems whose values, shares and bits can be computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from stitchrl.candidates import Candidate, table
from stitchrl.dataset import Bounds, Choices, Dataset
from stitchrl.evaluation.behavior import imitations_of
from stitchrl.evaluation.network_values import NetworkValues
from stitchrl.evaluation.ranking import Ranking
from stitchrl.evaluation.requests import Request
from stitchrl.ope.fqe_tabular import TabularLog
from stitchrl.tree import pytree
from stitchrl.value_iteration import TabularPolicy

UNIFORM = Request(Candidate("uniform", "external", "sample", "uniform"))


@pytree
class Following:
    """The dose that the observation asks for, times a slope."""

    slope: float

    def mode(self, observation):
        return self.slope * observation[:1]


@pytree
class Fixed:
    """The same probabilities everywhere."""

    chances: Float[Array, "actions"]

    def log_prob(self, observation, action):
        return jnp.log(self.chances)[action]


@pytree
class Constant:
    """Always the same dose."""

    def mode(self, observation):
        return np.array([0.6], np.float32) + 0 * observation[:1]


def chain(stops: int = 10) -> Dataset:
    """Reward 1 a step; exactly every tenth of 1,000 rows ends. One state, one action."""
    ends = np.arange(1_000) % stops == stops - 1
    return Dataset.create(
        observation=np.ones((1_000, 1)),
        action=np.zeros(1_000),
        reward=np.ones(1_000),
        terminated=ends,
        truncated=np.zeros(1_000, bool),
        actions=Choices(("only",)),
    )


def values_of(
    log: Dataset, *, updates: int, imitated: int = 10, discount: float = 1.0
) -> NetworkValues:
    """`imitated`: updates of the behavior model, few where nothing hangs on it."""
    imitations = imitations_of(log, updates=imitated, seed=0)
    return NetworkValues(log, imitations, discount=discount, updates=updates, seed=0)


@pytest.mark.parametrize("discount, exact", [(1.0, 10), (0.99, 9.174312), (0.9, 5.263158)])
def test_the_chain_is_worth_what_it_must(discount, exact):
    networks = values_of(chain(), discount=discount, updates=3_000)
    (value,) = networks.rank([UNIFORM])
    assert value == pytest.approx(exact, rel=0.01)


def bandit(rows: int = 2_000) -> Dataset:
    """One step: action 0 pays 1, action 1 pays 0, action 2 was never taken."""
    action = np.arange(rows) % 2
    return Dataset.create(
        observation=np.ones((rows, 1)),
        action=action,
        reward=1.0 - action,
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Choices(("good", "bad", "unseen")),
        reward_bounds=(0.0, 1.0),
        return_bounds=(0.0, 1.0),
        horizon=1,
        state_id=np.zeros(rows),
        final_state_id=np.full(rows, -1),
        state_count=1,
    )


def acting(*probabilities: float, share: float = 1.0) -> Request:
    policy = TabularPolicy(np.array([probabilities]), np.zeros(1))
    return Request(Candidate(str(probabilities), "policy", "sample", policy), share)


@pytest.fixture(scope="module")
def on_bandit():
    requests = [
        acting(1.0, 0.0, 0.0),
        acting(0.5, 0.5, 0.0),
        acting(0.5, 0.0, 0.5),
        acting(1.0, 0.0, 0.0, share=0.5),
    ]
    networks = values_of(bandit(), updates=1_500, imitated=1_000)
    return networks.evaluate(requests)


def test_seen_actions_have_one_value(on_bandit):
    good, half, _, _ = on_bandit
    for fitted, exact in ((good, 1.0), (half, 0.5)):
        found = fitted.completions
        assert found.lower == pytest.approx(exact, abs=0.02)
        assert found.behavior == pytest.approx(exact, abs=0.02)
        assert found.upper == pytest.approx(exact, abs=0.02)
        assert fitted.unseen_share == 0


def test_unseen_actions_are_completed_in_three_ways(on_bandit):
    found = on_bandit[2]
    assert found.unseen_share == pytest.approx(0.5)
    assert found.completions.lower == pytest.approx(0.5, abs=0.02)  # ½ · 1 + ½ · 0
    assert found.completions.behavior == pytest.approx(0.75, abs=0.02)  # … + ½ · ½
    assert found.completions.upper == pytest.approx(1.0, abs=0.02)


def test_a_mixture_is_worth_the_mean_and_is_nearer(on_bandit):
    good, half, _, mixture = on_bandit
    assert mixture.completions.behavior == pytest.approx(0.75, abs=0.02)
    assert good.divergence.bits_per_episode == pytest.approx(1.0, abs=0.05)
    assert half.divergence.bits_per_episode == pytest.approx(0.0, abs=0.02)
    # .75 log2 1.5 + .25 log2 .5
    assert mixture.divergence.bits_per_episode == pytest.approx(0.189, abs=0.03)


def test_continuous_actions_are_drawn_and_mixed():
    """Reward a: the logged mean is 0.2, a policy that does 0.6 is worth 0.6."""
    rng = np.random.default_rng(0)
    rows = 4_000
    action = np.clip(rng.normal(0.2, 0.3, (rows, 1)), -1, 1)
    log = Dataset.create(
        observation=rng.normal(size=(rows, 1)),
        action=action,
        reward=action[:, 0],
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Bounds(("dose",), (-1.0,), (1.0,)),
    )
    always = Candidate("always .6", "policy", "mode", Constant())
    networks = values_of(log, updates=1_500, imitated=1_500)
    whole, half = networks.evaluate([Request(always), Request(always, 0.5)])
    assert whole.completions.behavior == pytest.approx(0.6, abs=0.03)
    assert half.completions.behavior == pytest.approx(0.4, abs=0.04)
    assert whole.unseen_share is None and whole.divergence is None
    # Which actions the log never shows is not known: no completion but the point.
    assert np.isnan(whole.completions.lower) and np.isnan(whole.completions.upper)


def test_a_policy_is_followed_at_its_own_observations():
    """Reward -(a - s)²: E s² = .36 / 3, so a = k s is worth -(1 - k)² .12."""
    rng = np.random.default_rng(0)
    rows = 4_000
    state = rng.uniform(-0.6, 0.6, (rows, 1))
    action = rng.uniform(-1, 1, (rows, 1))
    log = Dataset.create(
        observation=state,
        action=action,
        reward=-((action - state)[:, 0] ** 2),
        terminated=np.ones(rows, bool),
        truncated=np.zeros(rows, bool),
        actions=Bounds(("dose",), (-1.0,), (1.0,)),
    )
    slopes = [1.0, 0.0, -1.0]
    requests = [
        Request(Candidate(f"{slope} s", "policy", "mode", Following(jnp.float32(slope))))
        for slope in slopes
    ]
    networks = values_of(log, updates=1_500, imitated=1_500)
    found = networks.rank(requests)
    exact = [-((1 - slope) ** 2) * 0.12 for slope in slopes]
    assert found == pytest.approx(exact, abs=0.02)
    assert networks.present == pytest.approx(log.reward.mean(), abs=0.02)


STEPS = 10
REWARDS = np.array([1.0, 0.5, 0.2])


def timed_log(*, has_states: bool, knows_final: bool = True) -> Dataset:
    """Every episode is cut after ten steps, which is its declared horizon."""
    rng = np.random.default_rng(0)
    episodes = 200
    size = episodes * STEPS
    action = rng.integers(0, 3, size)
    step = np.tile(np.arange(STEPS), episodes)
    states = {
        "state_id": np.zeros(size, int),
        "final_state_id": np.zeros(episodes, int),
        "state_count": 1,
    }
    return Dataset.create(
        observation=np.ones((size, 1)),
        action=action,
        reward=REWARDS[action],
        terminated=np.zeros(size, bool),
        truncated=step == STEPS - 1,
        actions=Choices(("x", "y", "z")),
        episode=np.arange(size) // STEPS,
        propensity=np.full(size, 1 / 3),
        horizon=STEPS,
        reward_bounds=(0.0, 1.0),
        final_observation=np.full((episodes, 1), 1.0 if knows_final else np.nan),
        **(states if has_states else {}),
    )


CHANCES = [(0.98, 0.01, 0.01), (0.01, 0.98, 0.01), (0.01, 0.01, 0.98)]


def fixed(chances: tuple[float, ...]) -> Request:
    policy = Fixed(jnp.array(chances, jnp.float32))
    return Request(Candidate(str(chances), "policy", "sample", policy))


def test_a_declared_horizon_ends_values_as_in_closed_form():
    requests = [fixed(chances) for chances in CHANCES]
    exact = [STEPS * float(np.dot(chances, REWARDS)) for chances in CHANCES]
    settings = {"discount": 1.0, "updates": 3_000, "seed": 0}
    log = timed_log(has_states=True)
    prepared = TabularLog.of(log, discount=1.0)
    states = [prepared.transitions.policy(table(r.candidate, log)) for r in requests]
    plain = [prepared.fit().value(policy) for policy in states]
    assert plain == pytest.approx(exact, rel=1e-5)
    ranked = Ranking(log, **settings).values(requests)  # Shrunk by borrowed rows.
    assert np.argsort(ranked).tolist() == np.argsort(exact).tolist()
    networks = Ranking(timed_log(has_states=False), **settings).values(requests)
    assert networks == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("knows_final", [True, False])
def test_bits_add_up_to_where_episodes_were_cut(knows_final):
    chances = np.array([0.45, 0.3, 0.25])
    log = timed_log(has_states=False, knows_final=knows_final)
    networks = values_of(log, updates=100, imitated=3_000, discount=0.99)
    (fitted,) = networks.evaluate([fixed(tuple(chances.tolist()))])
    exact = STEPS * float((chances * np.log2(chances * 3)).sum())  # 0.455
    assert fitted.divergence is not None
    # The imitation, by which bits are counted, is not exactly uniform.
    assert fitted.divergence.bits_per_episode == pytest.approx(exact, abs=0.2)
