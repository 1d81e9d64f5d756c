"""Which tool, which algorithms, what to take care of: rules over the numbers of an audit.

Rules of thumb, each with the numbers that led to it: what works on a log is only known once
it was judged on episodes that nothing was learned from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import log2

from stitchrl.audit import Audit
from stitchrl.audit.behavior import MOST_WAYS
from stitchrl.audit.returns import BEST, TWO_MODES
from stitchrl.validation.suspicions import ENOUGH_GROUPS

MANY_EXPERTS = 0.5  # Of episodes: then imitation is hard to beat.
FEW_EXPERTS = 0.2
SETTLED = 1.0  # Bits per decision: those who act like this hardly vary.
SOME_MEET = 0.25  # Of below-median episodes.
WORTH_IT = 0.05  # Of the range of returns: a gain that is worth the trouble.
SELDOM_REWARDED = 0.05  # Of decisions.
ONCE, SOME, OFTEN = range(3)  # Gains, by how often moves were tried: `LEAST_COUNTS`.

Numbers = dict[str, int | float]


class About(StrEnum):
    """What a piece of advice is about."""

    TOOL = "tool"
    ALGORITHM = "algorithm"
    CARE = "care"


@dataclass(frozen=True)
class Situation:
    """What no log tells; None: not said."""

    can_collect: bool | None = None  # More decisions, made as one likes.
    is_dear: bool | None = None  # To collect them.
    is_dangerous: bool | None = None  # To try what was never tried.
    has_simulator: bool | None = None  # That is believed.


@dataclass(frozen=True)
class Advice:
    """One sentence, why, and what to type."""

    code: str
    about: About
    sentence: str
    numbers: Numbers
    command: str | None = None


def advise(
    found: Audit, situation: Situation, *, is_discrete: bool, is_tabular: bool
) -> tuple[Advice, ...]:
    """Tools first, then algorithms, then cares. Never empty."""
    tools = tuple(_tools(found, situation))
    if any(tool.code == "NO_SIGNAL" for tool in tools):
        return tools
    algorithms = tuple(_algorithms(found, is_discrete=is_discrete, is_tabular=is_tabular))
    return (*tools, *algorithms, *_cares(found))


def _tools(found: Audit, situation: Situation) -> Iterator[Advice]:
    returns = found.returns
    if not returns.has_signal:
        yield Advice(
            "NO_SIGNAL",
            About.TOOL,
            "Every episode returns the same, so that no way of acting can be told from "
            "another. Log an outcome that differs, or imitate what was done.",
            {"return": returns.mean},
        )
        return
    if situation.has_simulator:
        yield Advice(
            "SIMULATE",
            About.TOOL,
            "There is a simulator that is believed: learn in it by trial and error, and "
            "use this log to check the simulator and to judge what comes out.",
            {},
        )
    is_cheap = situation.is_dear is False and situation.is_dangerous is False
    if situation.can_collect and is_cheap:
        yield Advice(
            "EXPERIMENT",
            About.TOOL,
            "More can be collected, cheaply and without danger: a randomized trial of a "
            "few policies answers sooner, and surer, than any log.",
            {},
        )
    elif situation.can_collect:
        yield Advice(
            "LEARN_THEN_PILOT",
            About.TOOL,
            "Trying things is dear or dangerous: learn from the log first, and spend "
            "trials on the few policies that it cannot tell apart.",
            {},
        )
    else:
        yield Advice(
            "OFFLINE",
            About.TOOL,
            "The log is all there is"
            + (": " if situation.can_collect is False else ", as far as was said: ")
            + "learn from it, and judge on episodes that nothing was learned from.",
            {"episodes": found.episodes, "bits": log2(max(found.groups, 1))},
        )
    if found.decisions == found.episodes:
        yield Advice(
            "BANDIT",
            About.TOOL,
            "Every episode is a single decision: nothing follows from it that must be "
            "learned, and estimators for bandits judge it best.",
            {"decisions": found.decisions},
        )


def _algorithms(found: Audit, *, is_discrete: bool, is_tabular: bool) -> Iterator[Advice]:
    returns, stitching = found.returns, found.stitching
    spread = returns.largest - returns.smallest
    is_settled = found.coverage.entropy < SETTLED
    if returns.expert_episodes > MANY_EXPERTS and is_settled:
        yield _learn(
            "IMITATE",
            f"{returns.expert_episodes:.0%} of episodes are about as good as the best "
            f"tenth, and {found.coverage.entropy:.2f} bits a decision hardly vary: "
            "imitation is hard to beat.",
            {
                "expert_episodes": returns.expert_episodes,
                "entropy": found.coverage.entropy,
            },
            "bc",
        )
    elif returns.expert_episodes < FEW_EXPERTS and returns.bimodality > TWO_MODES:
        yield _learn(
            "FILTER",
            f"{returns.expert_episodes:.0%} of episodes stand out as better: imitate "
            "those, as the rival that everything else must beat.",
            {
                "expert_episodes": returns.expert_episodes,
                "bimodality": returns.bimodality,
            },
            "filtered_bc",
        )
    gain = stitching.gains[SOME]
    if found.decisions == found.episodes:
        return  # Nothing follows that could be stitched.
    numbers = {"stitchability": stitching.stitchability, "gain": gain}
    if stitching.stitchability >= SOME_MEET or gain > WORTH_IT * spread:
        fit = ["iql", "cql"] if is_discrete else ["iql", "td3_bc", "rebrac"]
        yield _learn(
            "STITCH",
            f"{stitching.stitchability:.0%} of the worse episodes meet a better one, and a "
            f"model of the log promises {gain:+.3g} to who goes over: methods that learn "
            "values can, imitation cannot.",
            numbers,
            *fit,
        )
    else:
        yield _learn(
            "STAY_CLOSE",
            f"Only {stitching.stitchability:.0%} of the worse episodes meet a better one: "
            "little can be put together, so stay close to what was done.",
            numbers,
            "bc",
            "filtered_bc",
            "iql",
        )
    if is_tabular:
        yield Advice(
            "PLAN",
            About.ALGORITHM,
            "States have names: planning on counts needs no network and no tuning, and "
            "runs beside everything else unless it is left out.",
            {"places": found.coverage.places, "tried": found.coverage.tried_share},
        )


def _cares(found: Audit) -> Iterator[Advice]:
    returns, behavior, coverage = found.returns, found.behavior, found.coverage
    if found.groups < ENOUGH_GROUPS:
        yield _care(
            "FEW_GROUPS",
            f"{found.groups:,} independent groups are too few to judge by: a fifth of "
            f"them certifies, which takes {ENOUGH_GROUPS} in all.",
            {"groups": found.groups},
        )
    if not found.has_propensities:
        yield _care(
            "NO_PROPENSITIES",
            "The log does not say how likely its actions were. Probabilities will be "
            "estimated, and nothing will be guaranteed; have them logged from now on.",
            {"bits_explained": behavior.explained},
        )
    gain_once, gain_often = found.stitching.gains[ONCE], found.stitching.gains[OFTEN]
    spread = returns.largest - returns.smallest
    if gain_once - gain_often > 0.5 * spread:
        yield _care(
            "LUCK",
            f"A model of the log promises {gain_once:+.3g} by moves that were tried once "
            f"and {gain_often:+.3g} by those tried 20 times: most of it is luck. Beware "
            "of values that rest on rare moves.",
            {"tried_once": gain_once, "tried_20_times": gain_often},
        )
    if returns.expert_episodes < FEW_EXPERTS and returns.expert_rows < BEST:
        yield _care(
            "BALANCE",
            f"Good episodes hold {returns.expert_rows:.1%} of decisions: draw them more "
            "often.",
            {"expert_rows": returns.expert_rows},
            "--balance return",
        )
    if returns.rewarded_share < SELDOM_REWARDED:
        yield _care(
            "SPARSE",
            f"{returns.rewarded_share:.1%} of decisions are rewarded: values travel far, "
            "so train long, and try returns over several steps.",
            {"rewarded": returns.rewarded_share},
            "--n-steps 5",
        )
    if behavior.ways > 1:
        shares = ", ".join(f"{share:.0%}" for share in behavior.shares)
        more = " or more" if behavior.ways == MOST_WAYS else ""
        yield _care(
            "SEVERAL_WAYS",
            f"The log acts in {behavior.ways} ways{more} ({shares} of groups): a policy "
            "that averages them does what nobody did. Name the source of each episode.",
            {"ways": behavior.ways},
            "--balance source",
        )
    for change, what in (
        (behavior.returns, "returns"),
        (behavior.acting, "ways of acting"),
    ):
        if change.is_sure:
            order = "time" if behavior.is_timed else "the order of the log"
            yield _care(
                "CHANGED",
                f"Over {order}, {what} change after {change.at:,} of {found.episodes:,} "
                f"episodes (p = {change.p:.3g}): the past may not be the present. Judge "
                "on the later part.",
                {"at": change.at, "before": change.before, "after": change.after},
            )
    if coverage.busiest_share > 0.5 and coverage.places > 100:
        yield _care(
            "IMBALANCED",
            f"1 % of places hold {coverage.busiest_share:.0%} of decisions: what is "
            "learned elsewhere rests on little.",
            {"busiest": coverage.busiest_share},
        )


def _learn(code: str, sentence: str, numbers: Numbers, *names: str) -> Advice:
    command = f"stitchrl run LOG --algorithms {','.join(names)}"
    return Advice(code, About.ALGORITHM, sentence, numbers, command)


def _care(code: str, sentence: str, numbers: Numbers, command: str | None = None) -> Advice:
    return Advice(code, About.CARE, sentence, numbers, command)
