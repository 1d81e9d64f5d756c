"""The fixed words of a report: the rule, the decisions, and what terms mean."""

from typing import NamedTuple

from stitchrl.verdict import Decision


class Meaning(NamedTuple):
    """How a decision is shown; shape and word say the same as the color."""

    title: str
    sentence: str
    marker: str  # Matplotlib's name of the shape.


DECISIONS = {
    Decision.DEPLOY: Meaning("Deploy", "The evidence supports using it.", "o"),
    Decision.PILOT: Meaning(
        "Pilot", "Promising, not proven: try it under supervision.", "D"
    ),
    Decision.COLLECT_MORE_DATA: Meaning(
        "Collect more data", "This log cannot settle the question; more of it can.", "s"
    ),
    Decision.DO_NOT_DEPLOY: Meaning(
        "Do not deploy", "It is worse than what is done today.", "X"
    ),
    Decision.CANNOT_SAY: Meaning("Cannot say", "The log does not contain the answer.", "v"),
    Decision.EVALUATED: Meaning("Evaluated", "For comparison: no candidate.", "P"),
}

RULE = {
    1: "An evaluation was refused: cannot say.",
    2: "Fewer than 10 effective episodes, or more than log₂ n + 3 bits away from the log: "
    "cannot say.",
    3: "Even the upper bound of the difference is below minus the margin: do not deploy.",
    4: "The lower bound of the difference is above the margin and every check is passed: "
    "deploy.",
    5: "Every method that has a vote puts it above the logged policy (WIS and FQE; DRL "
    "where few decisions are thin; a model that knows what the log knows): pilot.",
    6: "Otherwise: collect more data.",
}

TERMS = {
    "Logged policy": "Whoever made the decisions in the log. Its value, J(π_β), is the "
    "mean of the returns observed; every other policy is held against it.",
    "Interval": "A range that holds the true number as often, in repeated samples, as its "
    "level says, which stands behind it: 99 % is 99 times in 100. The more policies are "
    "certified together, the higher each level, so that all their bounds together err 5 "
    "times in 100. Of a difference each side is a test of its own: where others have 99 %, "
    "its interval has 98 %. Where propensities are logged it is computed from both values "
    "on the same episodes, and mostly narrower than one interval less the other. "
    "Guaranteed: at any sample size. Asymptotic: for large samples. Model-based: if a "
    "fitted model is right.",
    "WIS": "Weighted importance sampling: the mean return of the log, in which episodes "
    "count more if the policy would have acted as was logged.",
    "FQE": "Fitted Q evaluation: a model, fitted to the log, of what follows when the "
    "policy decides. Where the log is silent, it is shown between worst and best case.",
    "ESS": "Effective sample size: how many episodes of the log effectively speak about a "
    "policy.",
    "KL bits": "How far a policy is from the log: at b bits, about one episode in 2^b was "
    "treated as the policy would. A log of n episodes has about log₂ n bits; the rule "
    "allows 3 more.",
    "Mixture": "In a share a of decisions follow the policy, otherwise the logged policy: "
    "(1 − a) π_β + a π. The smaller a, the closer to the log, and the surer the answer.",
    "DRL": "Double reinforcement learning: fitted values, corrected by how often the "
    "policy would visit what was logged.",
    "MB": "Model-based: the policy is played in a model of the process that was fitted to "
    "the log.",
    "Pareto's k": "How heavy the tail of the importance weights is: from 0.7 on a few "
    "episodes outweigh all others, and weighted estimates are not believed.",
    "Other estimators": "IS weighs whole episodes, PDIS and CWPDIS decision by decision, "
    "RIS-WIS by how often the log itself did what; pooled FQE lets seldom tried actions "
    "borrow from their state; DR, WDR and MAGIC combine weights with fitted values. They "
    "are shown to be compared; of them only RIS-WIS counts when methods are asked whether "
    "they agree.",
    "SLOPE": "A rule that takes the smallest cap on weights whose estimate still agrees "
    "with those of all larger caps.",
    "Control": "A method known to fail on logs. It is evaluated to show that failure is "
    "noticed, and is never recommended.",
    "Mean weight": "Importance weights must average 1. If they do not, probabilities are "
    "wrong or a few episodes dominate.",
    "ECE": "Expected calibration error: mean distance between the probability of a logged "
    "action and how often it was taken.",
    "Unseen mass": "Share of the policy's actions that the log does not show in such "
    "states.",
    "Own estimate": "What a learner believes its policy is worth at the first decision of "
    "an episode. It is not evidence.",
    "TD error": "How far a learned value is from reward plus the next value; it should "
    "fall and settle.",
}

# Where each term is needed first.
TERMS_OF = {
    "decide": (
        "Logged policy",
        "Interval",
        "Mixture",
        "WIS",
        "FQE",
        "ESS",
        "KL bits",
        "Control",
    ),
    "trust": (
        "Mean weight",
        "Pareto's k",
        "Unseen mass",
        "ECE",
        "DRL",
        "MB",
        "Other estimators",
        "SLOPE",
    ),
    "training": ("Own estimate", "TD error"),
}
