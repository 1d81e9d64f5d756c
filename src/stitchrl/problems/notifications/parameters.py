"""What users are like. Chosen for plausibility, not for an outcome, and never tuned.

They were committed before any policy was trained on the simulator; what was looked at
before are hand-made thresholds only (tests/problems/test_notifications.py).
"""

from typing import NamedTuple


class Parameters(NamedTuple):
    """Of users, candidates, fatigue, the present policy and the reward.

    Time goes in blocks of six hours: night, morning, afternoon, evening. In each there is
    one candidate notification for every user.
    """

    # Half of the users come less than once in eight days by themselves, a tenth more than
    # every second day: of those who come in a month, two in three do in a week.
    sessions_per_day: float = 0.12  # The median; log-normal over users.
    sessions_deviation: float = 1.2  # Of its logarithm.
    block_activity: tuple[float, ...] = (0.3, 1.0, 1.2, 1.5)  # Relative; 1 on average.

    # Users who are not tired would open between 4 and 5 % of all candidates, and more than
    # 10 % of the best fifth: usual open rates of push notifications.
    open_logit: float = -3.5
    interest_deviation: float = 0.6  # Between users, in logits.
    relevance_deviation: float = 0.9  # Between candidates for one user.
    block_logits: tuple[float, ...] = (-0.7, 0.0, 0.0, 0.2)  # Few open any at night.
    nudge: float = 0.3  # Unopened ones bring a session with this share of their chance.
    # A model of opens whose noise leaves an area under the curve of about .75.
    score_deviation: float = 0.5

    # One a day leaves a user a fifth tired, four a day more than half; a rest of three days
    # halves it. Who is wholly tired opens nothing and comes half as often.
    fatigue_half_life: float = 3.0  # Days.
    irritation: float = 0.03  # Of what is left to tire, by any notification,
    irrelevance: float = 0.06  # and this much more if it has no relevance at all.
    relevant_chance: float = 0.05  # The chance of opening at which it is half relevant.
    fatigue_cost: float = 0.5  # Share of sessions that a wholly tired user leaves out.

    # The present policy sends about one a day; 1 in 40 decisions is the other one.
    threshold: float = 0.06  # On the score.
    exploration: float = 0.05  # Share of decisions that are tossed.

    # In sessions. Opening shows that it was worth it, sending costs attention and money.
    click_reward: float = 0.5
    send_cost: float = 0.02

    # What is observed of the past.
    sends_half_life: float = 2.0  # Days.
    visits_half_life: float = 7.0  # Of clicks and sessions.

    warm_up_days: int = 14  # Under the present policy, before anything counts.
    days: int = 28
    blocks: int = 4  # In a day.

    def kept(self, half_life: float) -> float:
        """What is left after a block of something with this half-life in days."""
        return 0.5 ** (1 / (half_life * self.blocks))
