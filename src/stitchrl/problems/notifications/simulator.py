"""All users at once, block after block; the same seed gives every policy the same luck."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from stitchrl.dataset import Choices, Dataset
from stitchrl.problems.notifications.parameters import Parameters

PARAMETERS = Parameters()
HOLD, SEND = range(2)
ACTION_LABELS = ("hold", "send")
FEATURE_NAMES = (
    "score_logit", "recent_sends", "recent_clicks", "recent_sessions",
    "days_since_session", "night", "morning", "afternoon", "evening",
)  # fmt: skip
WEEK = 7

Probabilities = Callable[[np.ndarray], np.ndarray]  # (n, 9) to (n, 2), each row sums to 1.


class Objectives(NamedTuple):
    """What a product team looks at."""

    sessions: float  # Per user and day.
    weekly_active: float  # Share of users with a session in seven days, from day 7 on.
    volume: float  # Notifications per user and day.
    click_through: float  # Share of notifications that are opened.


class Block(NamedTuple):
    """What was seen, decided and happened in one block, for each of n users."""

    observation: np.ndarray  # float64 (n, 9)
    probability: np.ndarray  # float64 (n, 2): of the policy.
    sent: np.ndarray  # bool (n,)
    clicked: np.ndarray  # bool (n,)
    visited: np.ndarray  # bool (n,): whether there was a session.
    idle: np.ndarray  # int64 (n,): blocks since the last one, after this block.


def threshold_policy(threshold: float, exploration: float = 0.0) -> Probabilities:
    """Send what scores higher; a share of decisions is tossed instead."""
    logit = np.log(threshold / (1 - threshold)) if threshold > 0 else -np.inf

    def probabilities(observation: np.ndarray) -> np.ndarray:
        sends = np.where(observation[:, 0] > logit, 1.0, 0.0)
        sends = (1 - exploration) * sends + exploration / 2
        return np.column_stack([1 - sends, sends])

    return probabilities


def behavior(parameters: Parameters = PARAMETERS) -> Probabilities:
    """The present policy."""
    return threshold_policy(parameters.threshold, parameters.exploration)


def rollout(
    policy: Probabilities,
    *,
    users: int,
    seed: int,
    days: int = PARAMETERS.days,
    parameters: Parameters = PARAMETERS,
) -> Objectives:
    """What this policy achieves in `days`, after two weeks under the present one.

    Raises `ValueError` unless there are more than seven days.
    """
    if days <= WEEK:
        raise ValueError(f"Weekly activity needs more than {WEEK} days, but got {days}.")
    sent = clicked = visited = active = 0.0
    blocks = _blocks(policy, users, seed, days, parameters)
    for number, block in enumerate(blocks):
        sent += block.sent.sum()
        clicked += block.clicked.sum()
        visited += block.visited.sum()
        day, is_last = divmod(number + 1, parameters.blocks)
        if is_last == 0 and day > WEEK:
            active += (block.idle < WEEK * parameters.blocks).mean()
    return Objectives(
        sessions=float(visited / users / days),
        weekly_active=float(active / (days - WEEK)),
        volume=float(sent / users / days),
        click_through=float(clicked / max(sent, 1)),
    )


def log(users: int, seed: int, parameters: Parameters = PARAMETERS) -> Dataset:
    """Four weeks of the present policy: an episode per user, cut at the end.

    The reward is in sessions; what it is made of stands beside it as reward.session,
    reward.click and reward.send.
    """
    days = parameters.days
    blocks = list(_blocks(behavior(parameters), users, seed, days + 1, parameters))
    horizon = days * parameters.blocks
    blocks, following = blocks[:horizon], blocks[horizon]

    def column(name: str) -> np.ndarray:
        """One user after the other."""
        values = np.stack([getattr(block, name) for block in blocks], axis=1)
        return values.reshape(users * horizon, *values.shape[2:])

    sent, clicked, visited = (column(name) for name in ("sent", "clicked", "visited"))
    probability = column("probability")
    step = np.tile(np.arange(horizon), users)
    reward = visited + parameters.click_reward * clicked - parameters.send_cost * sent
    return Dataset.create(
        observation=column("observation"),
        feature_names=FEATURE_NAMES,
        action=sent.astype(np.int64),
        actions=Choices(ACTION_LABELS),
        reward=reward,
        rewards={"session": visited, "click": clicked, "send": sent},
        terminated=np.zeros(len(step), bool),
        truncated=step == horizon - 1,
        episode=np.repeat(np.arange(users), horizon),
        step=step,
        propensity=np.where(sent, probability[:, SEND], probability[:, HOLD]),
        final_observation=following.observation,
        horizon=horizon,
        reward_bounds=(-parameters.send_cost, 1.0 + parameters.click_reward),
    )


def _blocks(
    policy: Probabilities, users: int, seed: int, days: int, parameters: Parameters
) -> Iterator[Block]:
    """`days` of this policy, after the days of warm-up under the present one.

    Every block draws the same random numbers, whatever was decided.
    """
    p, rng = parameters, np.random.default_rng(seed)
    activity = p.sessions_per_day * np.exp(p.sessions_deviation * rng.normal(size=users))
    interest = p.interest_deviation * rng.normal(size=users)
    fatigue, idle = np.zeros(users), np.full(users, WEEK * p.blocks)
    sends, clicks, visits = np.zeros(users), np.zeros(users), np.zeros(users)
    warm_up = p.warm_up_days * p.blocks
    for number in range(warm_up + days * p.blocks):
        time = number % p.blocks
        relevance = p.relevance_deviation * rng.normal(size=users)
        logit = p.open_logit + interest + relevance + p.block_logits[time]
        score_logit = logit + p.score_deviation * rng.normal(size=users)
        since = np.log1p(idle / p.blocks)
        hours = np.tile(np.eye(p.blocks)[time], (users, 1))
        observation = np.column_stack([score_logit, sends, clicks, visits, since, hours])
        present = behavior(p) if number < warm_up else policy
        probability = np.asarray(present(observation), np.float64)
        toss, luck, nudging, coming = rng.random((4, users))
        sent = toss < probability[:, SEND]

        chance = expit(logit)
        felt = chance * (1 - fatigue)
        clicked = sent & (luck < felt)
        nudged = sent & (nudging < p.nudge * felt)
        rate = activity * p.block_activity[time] / p.blocks
        rate = rate * (1 - p.fatigue_cost * fatigue)
        visited = clicked | nudged | (coming < -np.expm1(-rate))
        idle = np.where(visited, 0, idle + 1)
        if number >= warm_up:
            yield Block(observation, probability, sent, clicked, visited, idle)

        relevant = chance / (chance + p.relevant_chance)
        tiring = p.irritation + p.irrelevance * (1 - relevant)
        fatigue = fatigue * p.kept(p.fatigue_half_life)
        fatigue = fatigue + (1 - fatigue) * tiring * sent
        sends = _average(sends, sent, p.kept(p.sends_half_life))
        clicks = _average(clicks, clicked, p.kept(p.visits_half_life))
        visits = _average(visits, visited, p.kept(p.visits_half_life))


def _average(past: np.ndarray, now: np.ndarray, kept: float) -> np.ndarray:
    """Exponential moving average."""
    return kept * past + (1 - kept) * now
