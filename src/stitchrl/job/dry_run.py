"""What a run will need, before anything is trained: memory and time, as estimates."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stitchrl.blocks import all_rows_together
from stitchrl.checkpoint import KEPT
from stitchrl.dataset import Choices, Dataset
from stitchrl.experience import Experience
from stitchrl.needs import met_by
from stitchrl.plan import MIXTURE_SHARES, MemberPlan, Plan, members
from stitchrl.population import by_program, devices
from stitchrl.splits import SHARES
from stitchrl.train import prepare, start

# Measured on two CPU cores: what a whole update reaches of the rate of its matrix
# products, what it takes beside them, and compiling what a program needs.
EFFICIENCY, SECONDS_PER_UPDATE, SECONDS_PER_PROGRAM = 0.9, 1e-4, 5.0
FQE_WIDTH, FQE_BATCH, DRAWS = 64, 256, 10
SAMPLE_EPISODES = 64


class Program(NamedTuple):
    """Members that are trained as one program."""

    name: str
    members: int
    parameters: int  # Of one member: every number that is learned or averaged.
    state_bytes: int  # Of one member, with the optimizer's.
    flops: float  # Of one update of one member.
    seconds: float  # For all updates of all members.


class Forecast(NamedTuple):
    """Estimates: sizes are close, times are right within a factor of about two."""

    programs: tuple[Program, ...]
    devices: int
    flops_per_second: float  # Of matrix products, measured just now on each device.
    data_bytes: int  # The training split, as training holds it.
    checkpoint_bytes: int
    memory_bytes: int  # Data and states of the largest program.
    compile_seconds: float
    train_seconds: float
    networks: int  # Fitted to rank and judge; 0 where tables do it.
    judge_seconds: float

    @property
    def seconds(self) -> float:
        """The whole run."""
        return self.compile_seconds + self.train_seconds + self.judge_seconds


def forecast(plan: Plan, dataset: Dataset) -> Forecast:
    """Estimate memory and time of a plan on a log; nothing is trained.

    The work of an update is what XLA counts in it, the speed is measured on a matrix
    product. Raises `ValueError` if the plan does not fit the log.
    """
    plan = plan.resolved(dataset.spec, met_by(dataset))
    plans = members(plan, dataset.spec)
    sample = dataset.take_episodes(np.arange(min(SAMPLE_EPISODES, dataset.episodes)))
    experience = Experience.of(sample)
    rate, count = matmul_rate(), len(devices())
    groups = [
        [plans[i] for i in group] for group in by_program([p.algorithm for p in plans])
    ]
    programs = tuple(_program(group, experience, plan.updates, rate) for group in groups)
    states = [program.members * program.state_bytes for program in programs]
    rows = SHARES[0] * dataset.size
    data_bytes = round(_bytes(experience) / experience.size * rows)
    networks, judge_seconds = _judging(plan, dataset, len(plans), rate)
    return Forecast(
        programs=programs,
        devices=count,
        flops_per_second=rate,
        data_bytes=data_bytes,
        checkpoint_bytes=KEPT * sum(states),
        memory_bytes=data_bytes * count + 2 * max(states, default=0),
        compile_seconds=SECONDS_PER_PROGRAM * (len(programs) + (networks > 0)),
        train_seconds=sum(program.seconds for program in programs),
        networks=networks,
        judge_seconds=judge_seconds,
    )


def matmul_rate(width: int = 256, repeats: int = 5) -> float:
    """Floating-point operations per second and device of `width`^3 products.

    All devices work at once, as in training; the best of `repeats`.
    """
    steps = 200

    @jax.jit
    def products(value: Any, weight: Any) -> Any:
        def step(value: Any, _: None) -> tuple[Any, None]:
            return jnp.tanh(value @ weight), None

        return jax.lax.scan(step, value, None, length=steps)[0]

    value = np.full((width, width), 0.01, np.float32)
    values = [jax.device_put(value, device) for device in devices()]
    taken = []
    for _ in range(1 + repeats):  # The first one compiles.
        begun = time.perf_counter()
        jax.block_until_ready([products(value, value) for value in values])
        taken.append(time.perf_counter() - begun)
    return 2 * width**3 * steps / min(taken[1:])


def _program(
    group: list[MemberPlan], experience: Experience, updates: int, rate: float
) -> Program:
    algorithm, key = group[0].algorithm, jax.random.key(0)
    data = jax.eval_shape(prepare, algorithm, experience)
    state = jax.eval_shape(start, algorithm, experience, key).state
    batch = jax.eval_shape(algorithm.sample, data, key)
    with all_rows_together():
        lowered = jax.jit(_update).lower(algorithm, state, batch, key)
    flops = float((lowered.cost_analysis() or {}).get("flops", 0.0))
    per_update = flops / (EFFICIENCY * rate) + SECONDS_PER_UPDATE
    rounds = -(-len(group) // len(devices()))
    return Program(
        name=", ".join(dict.fromkeys(member.label for member in group)),
        members=len(group),
        parameters=_count(state),
        state_bytes=_bytes(state),
        flops=flops,
        seconds=rounds * updates * per_update,
    )


def _update(algorithm: Any, state: Any, batch: Any, key: Any) -> Any:
    return algorithm.update(state, batch, key)


def _judging(plan: Plan, dataset: Dataset, trained: int, rate: float) -> tuple[int, float]:
    """How many networks rank and judge the candidates, and how long they take."""
    is_discrete = isinstance(dataset.actions, Choices)
    if dataset.state_id is not None and is_discrete:
        return 0, 0.0
    judged = len(plan.algorithms or ()) + len(MIXTURE_SHARES) + len(plan.policies)
    completions, extra = (3, 2) if is_discrete else (1, 0)
    networks = 2 * (trained + completions * judged) + 2 * extra
    inputs, outputs = dataset.observation.shape[1], 1
    if isinstance(dataset.actions, Choices):
        outputs = dataset.actions.count
    else:
        inputs += dataset.actions.size
    weights = FQE_WIDTH * (inputs + FQE_WIDTH + outputs)
    passes = 8 if is_discrete else 6 + 2 * DRAWS
    flops = passes * weights * FQE_BATCH
    per_update = flops / (EFFICIENCY * rate) + SECONDS_PER_UPDATE
    return networks, networks * plan.fqe_updates * per_update / len(devices())


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in _arrays(tree))


def _count(tree: Any) -> int:
    networks = [getattr(part, "network", part) for part in tree]
    return sum(leaf.size for leaf in _arrays(networks))


def _arrays(tree: Any) -> list[Any]:
    leaves = jax.tree.leaves(tree)
    return [x for x in leaves if jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool]
