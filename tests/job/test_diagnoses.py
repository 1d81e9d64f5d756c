"""What ails a member: limits by hand, siblings, and runs whose truth is known."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stitchrl.algorithms.cql import CQL
from stitchrl.algorithms.discrete_cql import DiscreteCQL
from stitchrl.algorithms.iql import IQL
from stitchrl.algorithms.sac_n import SACN
from stitchrl.algorithms.xql import XQL
from stitchrl.dataset import Choices, Dataset
from stitchrl.diagnosis import Ailment, Curves, diagnose
from stitchrl.experience import Experience
from stitchrl.fit import Fitted
from stitchrl.grids import parse_option
from stitchrl.job.diagnoses import (
    attainable_of,
    curves_of,
    diagnoses_of,
    largest_sum,
    options_until,
    wider_than,
)
from stitchrl.normalizer import Normalizer
from stitchrl.ope.bounds import returns_to_go
from stitchrl.plan import MemberPlan, Plan, members
from stitchrl.policies import action_probabilities
from stitchrl.probing import make_probe, measure
from stitchrl.problems import stitching
from stitchrl.problems.tabular import TabularMDP
from stitchrl.rewards import RewardTransform
from stitchrl.testing import small_log
from stitchrl.train import chunks, start

RAW, KEY = RewardTransform(), jax.random.key(0)
STEPS = np.arange(1, 21) * 100


def two_walks(*, is_cut: bool, **declared: Any) -> Dataset:
    """Rewards 1, 0, 4 and 2, 1; the second walk may be cut."""
    return Dataset.create(
        observation=np.zeros((5, 1)),
        action=np.zeros(5),
        actions=Choices(("go", "stay")),
        reward=[1.0, 0.0, 4.0, 2.0, 1.0],
        terminated=[False, False, True, False, not is_cut],
        truncated=[False, False, False, False, is_cut],
        **declared,
    )


def test_what_rewards_add_up_to_by_hand():
    whole, cut = two_walks(is_cut=False), two_walks(is_cut=True)
    found = attainable_of(whole, RAW, 0.5)
    assert found.highest == 4.0  # 2 again and again is 4, and so is the last reward.
    logged = [1 + 0.5 * 2, 2.0, 4.0, 2.5, 1.0]  # At γ = ½.
    assert found.usual == pytest.approx(np.quantile(logged, 0.95))
    assert found.variance == pytest.approx(np.var(logged))
    assert found.mean == pytest.approx(np.mean(logged))
    paid = replace(whole, reward=whole.reward - 1)  # The last rewards are 3 and 0.
    assert attainable_of(paid, RAW, 0.5).mean == pytest.approx(
        np.mean([0.25, 0.5, 3, 1, 0])
    )
    assert attainable_of(replace(cut, reward=paid.reward), RAW, 0.5).mean == -np.inf
    assert attainable_of(cut, RAW, 0.5).mean == found.mean  # At least: more may follow.
    assert attainable_of(cut, RAW, 0.9).highest == pytest.approx(20.0)  # Not the 4.6 seen.
    assert attainable_of(cut, RAW, 1.0).highest == np.inf
    assert largest_sum(np.array([-1.0, 0.0]), np.array([False, True]), 0.9) == 0.0
    assert largest_sum(np.array([-1.0, -50.0]), np.array([False, True]), 0.9) == (
        pytest.approx(-10.0)
    )
    assert largest_sum(np.array([0.0, -3.0]), np.array([False, True]), 1.0) == 0.0
    assert largest_sum(np.array([2.0, -3.0]), np.array([True, True]), 1.0) == 2.0


def test_limits_are_in_the_learner_s_units():
    log = two_walks(is_cut=False)
    found = attainable_of(log, RewardTransform(scale=10.0, shift=-5.0), 0.9)
    # Learning sees 5, -5, 35 and 15, 5: again and again 15, or 35 once.
    assert found.highest == pytest.approx(150.0)
    raw = attainable_of(log, RAW, 0.9)
    scaled = attainable_of(log, RewardTransform(scale=3.0), 0.9)
    expected = 3 * raw.highest, 3 * raw.usual, 3 * raw.mean, 9 * raw.variance
    assert scaled == pytest.approx(expected)


def test_declared_bounds_count_where_no_episode_was_cut():
    declared = {"return_bounds": (0.0, 6.0), "reward_bounds": (0.0, 4.0)}
    whole = two_walks(is_cut=False, **declared)
    assert attainable_of(whole, RAW, 0.9).highest == 6.0
    assert attainable_of(whole, RewardTransform(scale=2.0), 0.9).highest == 12.0
    # A return less its shifts depends on the length of the episode.
    shifted = attainable_of(whole, RewardTransform(shift=-1.0), 0.9)
    assert shifted.highest == pytest.approx(10.0)
    cut = two_walks(is_cut=True, **declared)
    assert attainable_of(cut, RAW, 0.9).highest == pytest.approx(20.0)
    # Nobody who learns sees that it is over after three steps.
    short = two_walks(is_cut=False, horizon=3, reward_bounds=(0.0, 2.0))
    assert attainable_of(short, RAW, 0.9).highest == pytest.approx(20.0)


def test_honest_values_of_stitched_actions_are_no_overestimates():
    """One paid episode in 52: the best values are far above what usually followed."""
    log = stitching.log()
    kept = np.flatnonzero(log.returns() > 0)[1:]
    log = log.take_episodes(~np.isin(np.arange(log.episodes), kept))
    best, discount = stitching.mdp(), stitching.DISCOUNT
    _, q = best.optimal(discount)
    assert log.state_id is not None
    logged = q[log.state_id, log.action].mean()
    seen = attainable_of(log, RAW, discount)
    error = returns_to_go(log, discount).std() / log.size**0.5
    assert logged > seen.usual + 3 * error  # A limit that would be a false alarm.
    values = np.full(20, logged)
    curves = Curves(STEPS, values, policy=values + 0.1)
    assert diagnose(curves, seen).ailment is Ailment.NONE
    beyond = curves._replace(policy=np.full(20, 1.05))
    assert diagnose(beyond, seen).ailment is Ailment.OVERESTIMATION


def member(number: int, hidden: tuple[int, ...], seed: int = 0, **changes: Any):
    return MemberPlan(number, "cql", DiscreteCQL(hidden=hidden, **changes), seed, {})


def test_the_nearest_wider_sibling_is_found():
    narrow = member(0, (8, 8))
    wide = [member(1, (16, 16)), member(2, (64, 64)), member(3, (16, 12))]
    assert wider_than(narrow, [narrow, wide[1], wide[0], wide[2]]) is wide[0]
    assert wider_than(wide[0], [narrow, *wide]) is wide[1]
    assert wider_than(wide[1], [narrow, *wide]) is None
    others = [
        member(1, (16, 16), seed=1),
        member(2, (16, 16, 16)),
        member(3, (16, 16), conservative_weight=2.0),
        MemberPlan(4, "iql", IQL(hidden=(16, 16)), 0, {}),
    ]
    assert wider_than(narrow, others) is None


RISING = 0.5 * (1 - np.exp(-np.arange(20) / 3))
FALLING = np.where(np.arange(20) < 6, RISING, RISING[5] - 0.03 * (np.arange(20) - 5))


def fitted(plan: MemberPlan, logged: np.ndarray, **others: np.ndarray) -> Fitted:
    """A member with these records, of whose state there are shapes only."""
    log = small_log("continuous" if isinstance(plan.algorithm, CQL | SACN) else "discrete")
    state = jax.eval_shape(start, plan.algorithm, Experience.of(log), KEY).state
    series = {"q/logged": logged} | {
        name.replace("_to_", "/"): v for name, v in others.items()
    }
    records = [
        {"step": int(step)} | {name: float(values[i]) for name, values in series.items()}
        for i, step in enumerate(STEPS)
    ]
    return Fitted(plan, state, records, None, 1.0, 2_000)


LOG = two_walks(is_cut=False)


def test_each_member_has_its_own_diagnosis():
    well, badly = member(0, (8,)), member(1, (8,), seed=1)
    found = diagnoses_of([fitted(well, RISING), fitted(badly, FALLING)], LOG, RAW)
    assert found[0].ailment is Ailment.NONE and found[0].checkpoint == 2_000
    assert found[1].ailment is Ailment.OVERFITTING and found[1].checkpoint == 500


def test_who_has_none():
    plan = member(0, (8,))
    whole = fitted(plan, RISING)
    gap = RISING.copy()
    gap[3] = np.nan
    without = [
        replace(whole, records=whole.records[:9]),
        replace(whole, stopped="Not finite."),
        replace(whole, records=[{"step": 1, "held_out/actor/loss": 1.0}] * 20),
        fitted(plan, gap),
    ]
    for one in without:
        assert diagnoses_of([one], LOG, RAW) == {}
    assert diagnoses_of([whole], LOG, RAW).keys() == {0}
    lost = [record | {"q/policy": None} for record in whole.records]
    curves = curves_of(replace(whole, records=lost))
    assert curves is not None and curves.policy is None


def test_errors_are_per_critic_and_of_squares_only():
    error = {"train_to_critics/loss": np.full(20, 6.0), "train_to_critics/gap": RISING}
    error["q_to_rank"] = np.full(20, 7.0)
    tiny: dict[str, Any] = {"hidden": (8,)}
    twin = fitted(MemberPlan(0, "iql", IQL(**tiny), 0, {}), RISING, **error)
    single = fitted(member(0, (8,)), RISING, **error)
    for one, expected in ((twin, 3.0), (single, 6.0)):
        curves = curves_of(one)
        assert curves is not None and curves.error is not None
        assert curves.error.tolist() == [expected] * 20
        assert curves.gap is not None and curves.held_out_error is None
        assert curves.rank is not None and curves.rank.tolist() == [7.0] * 20
    huber = curves_of(fitted(MemberPlan(0, "xql", XQL(**tiny), 0, {}), RISING, **error))
    assert huber is not None and huber.error is huber.rank is None


def test_values_with_entropy_have_no_limit():
    above = RISING + 1_000
    for algorithm, ailment in (
        (SACN(hidden=(8,), ensemble=2), Ailment.NONE),
        (CQL(hidden=(8,)), Ailment.OVERESTIMATION),
    ):
        one = fitted(MemberPlan(0, "name", algorithm, 0, {}), above)
        assert diagnoses_of([one], LOG, RAW)[0].ailment is ailment


def test_a_wider_sibling_in_the_plan_tells_underfitting():
    high = {"train_to_critics/loss": np.full(20, 2.0)}
    low = {"train_to_critics/loss": np.full(20, 1.0)}
    narrow, wide = member(0, (8,)), member(1, (16,))
    found = diagnoses_of(
        [fitted(narrow, RISING, **high), fitted(wide, RISING, **low)], LOG, RAW
    )
    assert found[0].ailment is Ailment.UNDERFITTING and found[1].ailment is Ailment.NONE
    alone = diagnoses_of([fitted(narrow, RISING, **high)], LOG, RAW)
    assert alone[0].ailment is Ailment.NONE


def test_options_end_training_at_the_peak_with_the_same_schedules():
    spec = small_log("continuous").spec
    plan = Plan(
        log="log.csv", algorithms={"cql": {}, "iql": {"hidden": [[8]]}}, updates=4_000
    )
    long = members(plan.resolved(spec), spec)
    for one in long:
        words = options_until(one, 1_000).split()
        assert words[:2] == ["--updates", "1000"]
        parsed = [parse_option(word) for word in words[3::2]]
        assert parsed, "Both have a schedule."
        grids = {name: dict(grid) for name, grid in (plan.algorithms or {}).items()}
        for name, key, values in parsed:
            grids[name][key] = values
        again = plan.model_copy(update={"algorithms": grids, "updates": 1_000})
        short = members(again.resolved(spec), spec)[one.number]
        assert short.algorithm == one.algorithm and short.seed == one.seed
    assert options_until(member(0, (8,)), 500) == "--updates 500"


CHAIN = 12


def chain() -> TabularMDP:
    """Twelve places in a row, paid at the last; one step in ten goes the other way."""
    transition = np.zeros((CHAIN, 2, CHAIN))
    for state in range(CHAIN - 1):
        for action in range(2):
            ways = max(state - 1, 0), state + 1
            transition[state, action, ways[action]] += 0.9
            transition[state, action, ways[1 - action]] += 0.1
    is_last = np.arange(CHAIN) == CHAIN - 1
    transition[-1, :, -1] = 1
    return TabularMDP.create(
        transition=transition,
        reward=is_last[None, None],
        start=np.eye(CHAIN)[0],
        terminal=is_last,
    )


def noisy_walks(episodes: int, seed: int) -> Dataset:
    """A log of the chain with eight features of noise, by which rows can be memorized."""
    process = chain()
    rows = process.simulate(
        np.tile([0.35, 0.65], (CHAIN, 1)), episodes=episodes, seed=seed, max_steps=60
    )
    log = process.to_dataset(rows)
    rng = np.random.default_rng(seed)

    def with_noise(features: np.ndarray) -> np.ndarray:
        noise = rng.standard_normal((len(features), 8))
        return np.concatenate([features, noise], axis=1).astype(np.float32)

    return replace(
        log,
        observation=with_noise(log.observation),
        final_observation=with_noise(log.final_observation),
        feature_names=tuple(f"x{number}" for number in range(CHAIN + 8)),
    )


def trained(
    algorithm: Any, log: Dataset, held_out: Dataset, *, updates: int
) -> tuple[Fitted, list[Any]]:
    """A member measured twenty times, and its policies then."""
    width = log.observation.shape[1]
    experience = Experience.of(log)
    probe = make_probe(held_out, Normalizer.identity(width), seed=0)
    records, policies, state = [], [], None
    begun = start(algorithm, experience, KEY)
    look, every = jax.jit(measure), updates // 20
    for run, metrics in chunks(algorithm, experience, begun, until=updates, every=every):
        seen = {f"train/{k}": v for k, v in metrics.items()}
        seen |= look((algorithm, run.state), probe)
        numbers = {name: float(value) for name, value in seen.items()}
        records.append({"step": int(run.step), **numbers})
        state = run.state
        policies.append(algorithm.policy(state))
    plan = MemberPlan(0, "cql", algorithm, 0, {})
    return Fitted(plan, state, records, None, 1.0, updates), policies


SMALL: dict[str, Any] = {
    "target_rate": 0.02,
    "learning_rate": 1e-3,
    "batch_size": 64,
    "hidden": (64, 64),
}


def test_too_large_a_network_on_fifty_walks_overfits():
    """And is better at the checkpoint that is named than at the end, in truth."""
    cql = DiscreteCQL(**SMALL, discount=0.95)
    log = noisy_walks(50, seed=0)
    one, policies = trained(cql, log, noisy_walks(20, seed=1), updates=3_000)
    found = diagnoses_of([one], log, RAW)[0]
    assert found.ailment is Ailment.OVERFITTING and found.checkpoint < 1_500
    places = jnp.pad(jnp.eye(CHAIN), ((0, 0), (0, 8)))

    def value(policy: Any) -> float:
        acts = jax.vmap(lambda place: action_probabilities(policy, place, 2))(places)
        acts = np.asarray(acts, np.float64)
        return chain().value(acts / acts.sum(axis=1, keepdims=True), 0.95)

    at_peak = policies[found.checkpoint // 150 - 1]
    assert value(at_peak) > value(policies[-1]) + 0.1


def test_stitching_is_no_ailment():
    """Values of logged actions rise far above what followed them, and rightly so."""
    cql = DiscreteCQL(**SMALL, discount=stitching.DISCOUNT, conservative_weight=0.1)
    log = stitching.log()
    one, policies = trained(cql, log, log, updates=3_000)
    places = jnp.asarray(stitching.FEATURES, jnp.float32)
    assert stitching.reaches(np.asarray(jax.vmap(policies[-1].mode)(places)))
    assert diagnoses_of([one], log, RAW)[0].ailment is Ailment.NONE
