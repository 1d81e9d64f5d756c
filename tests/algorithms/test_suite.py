"""The conformance suite finds what is wrong: a broken algorithm for each of its checks."""

import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import pytest

from stitchrl.algorithms.bc import BC
from stitchrl.algorithms.double_dqn import DoubleDQN
from stitchrl.learner import move_towards
from stitchrl.networks import Critics
from stitchrl.spaces import Continuous
from stitchrl.testing import check_algorithm, checks_of
from stitchrl.tree import hyperparameters, pytree

TINY: dict[str, Any] = {"hidden": (4,), "batch_size": 8}


class NoDataclass:
    """Not even that."""

    actions: ClassVar = (Continuous,)


@hyperparameters
class LosesItsTargets(DoubleDQN):
    def update(self, state, batch, key):
        after, metrics = super().update(state, batch, key)
        return after._replace(target_critics=None), metrics


@hyperparameters
class LosesPrecision(BC):
    def update(self, state, batch, key):
        after, metrics = super().update(state, batch, key)
        return jax.tree.map(lambda x: x.astype(jnp.float16), after), metrics


SEEDS = itertools.count()


@hyperparameters
class DrawsFromElsewhere(BC):
    def actor_loss(self, actor, batch):
        loss, metrics = super().actor_loss(actor, batch)
        hidden_key = jax.random.key(next(SEEDS))
        return loss * jax.random.uniform(hidden_key), metrics


@hyperparameters
class BootstrapsThroughTermination(DoubleDQN):
    def critic_loss(self, critics, old_critics, target_critics, batch):
        batch = batch._replace(terminated=jnp.zeros_like(batch.terminated))
        return super().critic_loss(critics, old_critics, target_critics, batch)


@hyperparameters
class CompilesForEveryFloat(BC):
    learning_rate: int = 3e-4  # An int is part of the program.


@hyperparameters
class MovesTargetsAnyway(DoubleDQN):
    def update(self, state, batch, key):
        after, metrics = super().update(state, batch, key)
        online = after.critics.network
        moved = move_towards(state.target_critics, source=online, rate=0.5)
        return after._replace(target_critics=moved), metrics


@pytree
class Far:
    """Always acts outside of [-1, 1]."""

    size: int

    def sample(self, observation, key):
        return jnp.full(self.size, 1.01)


@hyperparameters
class LeavesTheBounds(BC):
    def policy(self, state):
        return Far(2)


@pytree
class Unmasked:
    """Chooses the best action whether it is allowed or not."""

    critics: Critics

    def sample(self, observation, key):
        return self.critics.each(lambda critic: critic.unmasked(observation))[0].argmax()


@hyperparameters
class ChoosesWhatIsForbidden(DoubleDQN):
    def policy(self, state):
        return Unmasked(state.critics.network)


@hyperparameters
class PrefersTheFirstRow(BC):
    learning_rate: float = 1e-2

    def actor_loss(self, actor, batch):
        return super().actor_loss(actor, jax.tree.map(lambda x: x[:1], batch))


@hyperparameters
class ReportsNonsense(BC):
    def actor_loss(self, actor, batch):
        loss, _ = super().actor_loss(actor, batch)
        return loss, {"actor/loss": jnp.log(-jnp.ones(()))}


@hyperparameters
class ReportsEveryRow(BC):
    def actor_loss(self, actor, batch):
        loss, _ = super().actor_loss(actor, batch)
        return loss, {"reward": batch.reward}


BROKEN = [
    (LosesItsTargets, "discrete", "form of its state", "another tree"),
    (LosesPrecision, "continuous", "form of its state", "'float16'"),
    (DrawsFromElsewhere, "continuous", "same bits", "must give the same numbers"),
    (DrawsFromElsewhere, "continuous", "in chunks", "bit for bit"),
    (DrawsFromElsewhere, "continuous", "resumes", "bit for bit"),
    (DrawsFromElsewhere, "continuous", "over seeds", "two single runs"),
    (DrawsFromElsewhere, "continuous", "every float", "single runs"),
    (BootstrapsThroughTermination, "discrete", "follows a termination", "must not look"),
    (BootstrapsThroughTermination, "masked", "follows a termination", "must not look"),
    (CompilesForEveryFloat, "continuous", "compiles once", "Annotate the field `float`"),
    (CompilesForEveryFloat, "continuous", "every float", "Annotate the field `float`"),
    (MovesTargetsAnyway, "discrete", "targets at rate zero", "target_critics must stay"),
    (LeavesTheBounds, "continuous", "within its space", "leaves [-1, 1]: 1.0"),
    (ChoosesWhatIsForbidden, "masked", "within its space", "is forbidden in"),
    (PrefersTheFirstRow, "continuous", "order of a batch", "must not matter"),
    (ReportsNonsense, "continuous", "finite numbers", "['actor/loss']"),
    (ReportsEveryRow, "continuous", "finite numbers", "must be one float"),
]


@pytest.mark.parametrize("broken, kind, name, sentence", BROKEN)
def test_what_is_broken_is_found(broken: type, kind: str, name: str, sentence: str):
    algorithm = broken(**TINY)
    (check,) = [c for c in checks_of(algorithm, kinds=[kind]) if name in c.name]
    with pytest.raises(AssertionError) as caught:
        check.run()
    assert sentence in str(caught.value)
    assert broken.__name__ in str(caught.value)


def test_every_check_has_been_seen_to_fail():
    shown = [name for _, _, name, _ in BROKEN] + ["frozen dataclass"]
    for check in checks_of(BC(**TINY), kinds=["continuous"]):
        assert any(name in check.name for name in shown), check.name


def test_hyperparameters_must_be_frozen():
    with pytest.raises(AssertionError, match="must be a frozen dataclass"):
        check_algorithm(NoDataclass())


def test_a_subclass_needs_a_mark_of_its_own():
    class Unmarked(BC):
        pass

    with pytest.raises(AssertionError, match="Unmarked must be a frozen dataclass"):
        check_algorithm(Unmarked(**TINY))


def test_the_kinds_of_actions_must_be_declared():
    with pytest.raises(AssertionError, match="must say which actions it can use"):
        check_algorithm(object())


def test_a_sound_algorithm_passes_on_every_kind_of_log():
    passed = check_algorithm(BC(**TINY))
    assert len(passed) == len(set(passed)) == 13 + 13 + 4
    assert passed[0] == "continuous: is a frozen dataclass"
