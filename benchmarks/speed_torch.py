"""One part of `speed.py`, in a process of its own: updates per second of eager PyTorch.

Loops as researchers' single files have them (CORL): the log as tensors, one Python call per
operation, a backward pass and a step of Adam per network, slow copies moved tensor by
tensor, losses fetched every update. Written from the papers' equations, with the sizes of
the others. Denormal numbers are flushed to zero.
"""

import argparse
import copy
import json
import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import speed_task as task
import torch
from torch import Tensor, nn
from torch.nn import functional

DISCOUNT, RATE = 0.99, 0.005
CHUNK = {"iql": 20, "bc": 100, "td3_bc": 20, "cql": 3, "rebrac": 20, "discrete_cql": 50}
EXPECTILE, TEMPERATURE, HIGHEST = 0.7, 3.0, 100.0  # IQL
Q_WEIGHT, NOISE, CLIP = 2.5, 0.2, 0.5  # TD3+BC
ACTOR_PENALTY, CRITIC_PENALTY = 0.1, 0.1  # ReBRAC
CONSERVATISM = 5.0  # CQL


class Log:
    """Columns as tensors, of which batches are drawn."""

    def __init__(self, *, is_discrete: bool):
        columns = task.synthetic_log(is_discrete=is_discrete)
        self.observation = torch.from_numpy(columns["observation"])
        self.action = torch.from_numpy(columns["action"])
        self.reward = torch.from_numpy(columns["reward"])[:, None]
        self.goes_on = 1 - torch.from_numpy(columns["terminated"]).float()[:, None]
        self.next_observation = self.observation.roll(-1, 0)
        self.next_action = self.action.roll(-1, 0)

    def batch(self, *names: str) -> list[Tensor]:
        rows = torch.randint(task.ROWS, (task.BATCH,))
        return [getattr(self, name)[rows] for name in names]


def network(inputs: int, outputs: int, *, is_normed: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *task.HIDDEN)):
        layers += [nn.Linear(before, after), nn.ReLU()]
        layers += [nn.LayerNorm(after)] if is_normed else []
    return nn.Sequential(*layers, nn.Linear(task.HIDDEN[-1], outputs))


def critic(*, is_normed: bool = False) -> nn.Sequential:
    return network(task.OBSERVATION + task.ACTION, 1, is_normed=is_normed)


def adam(*modules: nn.Module) -> torch.optim.Adam:
    parameters = [one for module in modules for one in module.parameters()]
    return torch.optim.Adam(parameters, lr=3e-4)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    loss.item()  # For its log.


def follow(slow: Iterable[nn.Module], fast: Iterable[nn.Module]) -> None:
    """Polyak, tensor by tensor."""
    for copied, module in zip(slow, fast):
        for target, parameter in zip(copied.parameters(), module.parameters()):
            target.data.copy_((1 - RATE) * target.data + RATE * parameter.data)


def together(critics: list[nn.Sequential], state: Tensor, action: Tensor) -> list[Tensor]:
    inputs = torch.cat([state, action], -1)
    return [one(inputs) for one in critics]


def errors(values: list[Tensor], target: Tensor) -> Tensor:
    return sum((functional.mse_loss(one, target) for one in values), torch.zeros(()))


def bc(log: Log) -> Callable[[], None]:
    actor = network(task.OBSERVATION, task.ACTION)
    optimizer = adam(actor)

    def update() -> None:
        state, action = log.batch("observation", "action")
        step(optimizer, functional.mse_loss(actor(state).tanh(), action))

    return update


TRANSITION = "observation", "action", "reward", "next_observation", "goes_on"


def iql(log: Log) -> Callable[[], None]:
    value, actor = network(task.OBSERVATION, 1), network(task.OBSERVATION, task.ACTION)
    spread = nn.Parameter(torch.zeros(task.ACTION))
    critics = [critic(), critic()]
    slow = copy.deepcopy(critics)
    of_value, of_critics = adam(value), adam(*critics)
    of_actor = torch.optim.Adam([*actor.parameters(), spread], lr=3e-4)

    def update() -> None:
        state, action, reward, after, goes_on = log.batch(*TRANSITION)
        with torch.no_grad():
            q = torch.minimum(*together(slow, state, action))
            next_value = value(after)
        advantage = q - value(state)
        weight = (EXPECTILE - (advantage < 0).float()).abs()
        step(of_value, (weight * advantage.square()).mean())
        target = reward + goes_on * DISCOUNT * next_value
        step(of_critics, errors(together(critics, state, action), target) / 2)
        follow(slow, critics)
        policy = torch.distributions.Normal(
            actor(state).tanh(), spread.clamp(-20, 2).exp(), validate_args=False
        )
        weight = (TEMPERATURE * advantage.detach()).exp().clamp(max=HIGHEST)
        step(of_actor, -(weight * policy.log_prob(action).sum(-1, keepdim=True)).mean())

    return update


def td3_bc(log: Log) -> Callable[[], None]:
    actor, critics = network(task.OBSERVATION, task.ACTION), [critic(), critic()]
    slow_actor, slow = copy.deepcopy(actor), copy.deepcopy(critics)
    of_actor, of_critics = adam(actor), adam(*critics)
    count = 0

    def update() -> None:
        nonlocal count
        count += 1
        state, action, reward, after, goes_on = log.batch(*TRANSITION)
        with torch.no_grad():
            noise = (torch.randn_like(action) * NOISE).clamp(-CLIP, CLIP)
            next_action = (slow_actor(after).tanh() + noise).clamp(-1, 1)
            q = torch.minimum(*together(slow, after, next_action))
            target = reward + goes_on * DISCOUNT * q
        step(of_critics, errors(together(critics, state, action), target))
        if count % 2 == 0:
            chosen = actor(state).tanh()
            q = together(critics[:1], state, chosen)[0]
            scale = Q_WEIGHT / q.abs().mean().detach()
            step(of_actor, functional.mse_loss(chosen, action) - scale * q.mean())
            follow([*slow, slow_actor], [*critics, actor])

    return update


def rebrac(log: Log) -> Callable[[], None]:
    actor = network(task.OBSERVATION, task.ACTION, is_normed=True)
    critics = [critic(is_normed=True), critic(is_normed=True)]
    slow_actor, slow = copy.deepcopy(actor), copy.deepcopy(critics)
    of_actor, of_critics = adam(actor), adam(*critics)
    count = 0

    def update() -> None:
        nonlocal count
        count += 1
        state, action, reward, after, goes_on, logged = log.batch(
            *TRANSITION, "next_action"
        )
        with torch.no_grad():
            noise = (torch.randn_like(action) * NOISE).clamp(-CLIP, CLIP)
            next_action = (slow_actor(after).tanh() + noise).clamp(-1, 1)
            q = torch.minimum(*together(slow, after, next_action))
            penalty = (next_action - logged).square().sum(-1, keepdim=True)
            target = reward + goes_on * DISCOUNT * (q - CRITIC_PENALTY * penalty)
        step(of_critics, errors(together(critics, state, action), target))
        if count % 2 == 0:
            chosen = actor(state).tanh()
            q = torch.minimum(*together(critics, state, chosen))
            scale = 1 / q.abs().mean().detach()
            penalty = (chosen - action).square().sum(-1, keepdim=True)
            step(of_actor, (ACTOR_PENALTY * penalty - scale * q).mean())
            follow([*slow, slow_actor], [*critics, actor])

    return update


def drawn(actor: nn.Sequential, state: Tensor) -> tuple[Tensor, Tensor]:
    """Actions of a squashed Gaussian, with gradients, and their log-densities."""
    mean, spread = actor(state).chunk(2, -1)
    spread = spread.clamp(-20, 2)
    noise = torch.randn_like(mean)
    raw = mean + spread.exp() * noise
    density = -0.5 * noise.square() - spread - 0.5 * math.log(2 * math.pi)
    squash = 2 * (math.log(2) - raw - functional.softplus(-2 * raw))
    return raw.tanh(), (density - squash).sum(-1, keepdim=True)


def cql(log: Log) -> Callable[[], None]:
    actor, critics = network(task.OBSERVATION, 2 * task.ACTION), [critic(), critic()]
    slow = copy.deepcopy(critics)
    temperature = nn.Parameter(torch.zeros(()))
    of_actor, of_critics = adam(actor), adam(*critics)
    of_temperature = torch.optim.Adam([temperature], lr=3e-4)
    samples = task.ACTION_SAMPLES

    def spread_over(state: Tensor) -> Tensor:
        return state[:, None].expand(-1, samples, -1).reshape(-1, task.OBSERVATION)

    def update() -> None:
        state, action, reward, after, goes_on = log.batch(*TRANSITION)
        chosen, density = drawn(actor, state)
        excess = density.detach() - task.ACTION  # Over an entropy of -dim A.
        step(of_temperature, -(temperature * excess).mean())
        alpha = temperature.exp().detach()
        q = torch.minimum(*together(critics, state, chosen))
        step(of_actor, (alpha * density - q).mean())
        with torch.no_grad():
            next_action, _ = drawn(actor, after)
            target = torch.minimum(*together(slow, after, next_action))
            target = reward + goes_on * DISCOUNT * target
            now, now_density = drawn(actor, spread_over(state))
            then, then_density = drawn(actor, spread_over(after))
            anything = torch.rand_like(now) * 2 - 1
        repeated = spread_over(state)
        fitted = together(critics, state, action)
        loss = errors(fitted, target)
        uniform = torch.full_like(now_density, -task.ACTION * math.log(2))
        tried = [(anything, uniform), (now, now_density), (then, then_density)]
        pushed = [together(critics, repeated, proposal) for proposal, _ in tried]
        for index, value in enumerate(fitted):
            logits = [
                (values[index] - weight).reshape(-1, samples)
                for values, (_, weight) in zip(pushed, tried)
            ]
            gap = torch.logsumexp(torch.cat(logits, 1), 1).mean() - value.mean()
            loss = loss + CONSERVATISM * gap
        step(of_critics, loss)
        follow(slow, critics)

    return update


def discrete_cql(log: Log) -> Callable[[], None]:
    critics = [network(task.OBSERVATION, task.CHOICES) for _ in range(2)]
    slow = copy.deepcopy(critics)
    optimizer = adam(*critics)

    def update() -> None:
        state, action, reward, after, goes_on = log.batch(*TRANSITION)
        action = action[:, None]
        with torch.no_grad():
            best = sum(one(after) for one in critics).argmax(-1, keepdim=True)
            q = torch.minimum(*(one(after).gather(1, best) for one in slow))
            target = reward + goes_on * DISCOUNT * q
        loss = torch.zeros(())
        for one in critics:
            values = one(state)
            logged = values.gather(1, action)
            gap = torch.logsumexp(values, -1, keepdim=True) - logged
            loss = loss + functional.mse_loss(logged, target) / 2 + gap.mean()
        step(optimizer, loss)
        follow(slow, critics)

    return update


UPDATES = {
    "iql": iql,
    "bc": bc,
    "td3_bc": td3_bc,
    "cql": cql,
    "rebrac": rebrac,
    "discrete_cql": discrete_cql,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithm", choices=UPDATES)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--windows", type=int, required=True)
    options = parser.parse_args()
    name = options.algorithm

    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    update = UPDATES[name](Log(is_discrete=name.startswith("discrete")))

    def go() -> int:
        for _ in range(CHUNK[name]):
            update()
        return CHUNK[name]

    result = task.measured(go, seconds=options.seconds, windows=options.windows)
    result["threads"] = torch.get_num_threads()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
