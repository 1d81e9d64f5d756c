"""What people read instead of the names that programs use."""

import re
from collections.abc import Mapping

from stitchrl.grids import Option
from stitchrl.plan import MemberPlan
from stitchrl.report.format import MINUS, NARROW_SPACE, percent

LABELS = {
    "bc": "Behavior cloning",
    "filtered_bc": "Filtered behavior cloning",
    "iql": "IQL",
    "xql": "XQL",
    "rvs": "RvS-R",
    "awr": "AWR",
    "crr": "CRR",
    "awac": "AWAC",
    "one_step": "One-step RL",
    "cql": "CQL",
    "bcq": "BCQ",
    "weighted_cql": "Weighted CQL",
    "cal_ql": "Cal-QL",
    "td3_bc": "TD3+BC",
    "ddpg_bc": "DDPG+BC",
    "sac_bc": "SAC+BC",
    "rebrac": "ReBRAC",
    "brac": "BRAC",
    "bcq_iql": "BCQ on IQL's critics",
    "sac_n": "SAC-N",
    "edac": "EDAC",
    "dqn": "DQN",
    "double_dqn": "Double DQN",
    "ddpg": "DDPG",
    "td3": "TD3",
    "sac": "SAC",
    "value_iteration": "Tabular value iteration",
    "uniform": "Uniform choice",
    "policy columns": "The policy in the log's columns",
}


def member_label(member: MemberPlan) -> str:
    """IQL (expectile 0.9): with what tells it from others of its name in this run."""
    told = [
        f"{name.replace('_', ' ')} {_shown(member.options[name])}" for name in member.varied
    ]
    label = LABELS.get(member.name, member.name)
    return f"{label} ({', '.join(told)})" if told else label


def _shown(value: Option) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def lower_first(text: str) -> str:
    """For the middle of a sentence; abbreviations keep their capitals."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """For the beginning of a sentence, or for standing alone."""
    return text[:1].upper() + text[1:]


def mixture_label(policy: str, share: float, behavior: str) -> str:
    """30 % IQL, 70 % clinicians."""
    policy, behavior = lower_first(policy), lower_first(behavior)
    return f"{percent(share)} {policy}, {percent(1 - share)} {behavior}"


def for_people(text: str, labels: Mapping[str, str]) -> str:
    """The text with every name of `labels` that stands alone replaced by its label."""
    names = sorted(labels, key=len, reverse=True)  # "iql at 30%" before "iql".
    if not names:
        return typeset(text)
    pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names)

    def label(found: re.Match) -> str:
        starts = re.fullmatch(r"(.*[.!?] )?", text[: found.start()], re.DOTALL)
        return upper_first(labels[found[0]]) if starts else labels[found[0]]

    return typeset(re.sub(pattern, label, text))


def typeset(text: str) -> str:
    """−4 % for -4%: a true minus sign, and a percent sign that stays with its number."""
    text = re.sub(r"(?<![\w.)-])-(?=[\d.])", MINUS, text)
    return re.sub(r"(?<=\d)%", f"{NARROW_SPACE}%", text)
