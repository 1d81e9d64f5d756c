"""What the loop, evaluation and estimators may ask for."""

from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from jaxtyping import Array, Float, Key

from stitchrl.experience import Experience
from stitchrl.learner import Metrics
from stitchrl.spaces import Spec

State = TypeVar("State")


@runtime_checkable
class Trainable(Protocol[State]):
    """What `train` needs: hyper-parameters plus three pure functions."""

    def init(self, key: Key[Array, ""], spec: Spec) -> State: ...
    def sample(self, data: Any, key: Key[Array, ""]) -> Any: ...
    def update(
        self, state: State, batch: Any, key: Key[Array, ""]
    ) -> tuple[State, Metrics]: ...


@runtime_checkable
class Prepares(Protocol):
    """A `Trainable` that reads all experience once, before the loop.

    Members of a run share what is prepared. A class names the float hyper-parameters that
    `prepare` reads in a class variable `prepared_by`: members that differ in one of them
    are prepared and trained apart.
    """

    def prepare(self, experience: Experience) -> Any: ...


@runtime_checkable
class Algorithm(Trainable[State], Protocol[State]):
    """A `Trainable` that ends in a policy.

    A class may say, in class variables: `is_control` (it is here to fail, never to be
    deployed), `is_stochastic` (rows of a batch draw noise of their own), `needs` (of a log:
    "rewards" that differ, "returns" of whole episodes, "next_action" somewhere),
    `shares_of_run` and `prepared_by`. What a diagnosis needs: `is_conservative` (it keeps
    values, or the policy, near what was logged by a penalty), `has_squared_errors`
    (`critics/loss` is the squared TD error, summed over critics) and
    `has_entropy_in_values` (Q is more than a sum of rewards).
    """

    actions: ClassVar[tuple[type, ...]]  # The kinds of action space it can use.

    def policy(self, state: State) -> Any: ...


@runtime_checkable
class HasActionValue(Protocol):
    """An algorithm that learns Q: its own estimate can be checked against the truth."""

    def policy(self, state: Any) -> Any: ...
    def action_value(self, state: Any) -> Any: ...


@runtime_checkable
class Policy(Protocol):
    """A Markov policy: a distribution over actions given one observation."""

    def sample(self, observation: Any, key: Key[Array, ""]) -> Any: ...


@runtime_checkable
class PolicyWithMode(Policy, Protocol):
    """A policy with a single preferred action."""

    def mode(self, observation: Any) -> Any: ...


@runtime_checkable
class PolicyWithLogProb(Policy, Protocol):
    """A policy whose density is known: importance weights need it."""

    def log_prob(self, observation: Any, action: Any) -> Float[Array, ""]: ...
