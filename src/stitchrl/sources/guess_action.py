"""Propose what was decided: one column of choices, or several of amounts."""

import numpy as np

from stitchrl.dataset import MAX_ACTIONS
from stitchrl.sources.columns import Text, labels
from stitchrl.sources.mapping import toml_of
from stitchrl.sources.proposal import Proposal, listed

FEW = 50  # Whole numbers with more values than this may be amounts.


def propose_action(proposal: Proposal, episode: str | None) -> int | None:
    """Write the action's lines; how many choices there are, where that is known."""
    name = proposal.named("action")
    amounts = [] if name else proposal.starting("action")
    if name is None and not amounts:
        _ask(proposal, episode)
        return None
    if name is not None and _is_choice(proposal, name, MAX_ACTIONS):
        count = len(labels(proposal.columns[name], name, proposal.source.path).values)
        proposal.set("action", name, "1 choice" if count == 1 else f"{count} choices")
        if count > FEW:
            proposal.unknown.append(
                f"'{name}' has {count:,} values: are they choices, or an amount? For "
                f'an amount write action = ["{name}"].'
            )
        return count
    proposal.set("action", [name] if name else amounts, "amounts")
    proposal.leave(
        "action_low = LOWEST",
        "The limits of the continuous actions are not in the data: without action_low "
        "and action_high the log's own smallest and largest are used.",
    )
    proposal.lines.append("# action_high = HIGHEST")
    return None


def _is_choice(proposal: Proposal, name: str, most: int) -> bool:
    is_named = isinstance(proposal.columns[name], Text) or proposal.seen.is_whole(name)
    return is_named and len(proposal.seen.values(name)) <= most


def _ask(proposal: Proposal, episode: str | None) -> None:
    """Show what the action may be: text that changes, amounts, or few whole numbers."""
    seen, said = proposal.seen, "No column is named like an action"
    changing = [
        name
        for name in proposal.free
        if not seen.is_vector(name) and not seen.is_date(name)
        if seen.varies_within(name, episode)
    ]
    texts = [name for name in changing if isinstance(proposal.columns[name], Text)]
    texts = [name for name in texts if _is_choice(proposal, name, FEW)]
    if texts:
        proposal.leave(
            f"action = {toml_of(texts[-1])}", f"{said}; it may be {listed(texts)}."
        )
        proposal.take(texts[-1:])
        return
    amounts = _amounts(proposal, changing)
    if amounts:
        lowest, highest = (
            [float(edge(seen.values(name))) for name in amounts] for edge in (min, max)
        )
        proposal.leave(
            f"action = {toml_of(amounts)}",
            f"{said}; these may be amounts that were set: {listed(amounts)}. If so, say "
            "what they can be in action_low and action_high.",
        )
        proposal.lines.append(f"# action_low = {toml_of(lowest)}  # the log's smallest")
        proposal.lines.append(f"# action_high = {toml_of(highest)}  # the log's largest")
        proposal.take(amounts)
        return
    few = [name for name in changing if _is_choice(proposal, name, FEW)]
    shown = f"; with few whole numbers: {listed(few)}" if few else ""
    proposal.leave('action = "COLUMN"', f"{said}{shown}.")


def _amounts(proposal: Proposal, changing: list[str]) -> list[str]:
    """Decimal columns named like something that is set; without any, shares of a whole."""
    outcomes = proposal.worded("reward")
    decimal = [
        name
        for name in changing
        if not isinstance(proposal.columns[name], Text)
        and not proposal.seen.is_whole(name)
        and name not in outcomes
    ]
    named = [name for name in proposal.worded("amount") if name in decimal]
    return named or [name for name in decimal if _is_share(proposal.seen.values(name))]


def _is_share(values: np.ndarray) -> bool:
    """Whether it lies in [0, 1] or [-1, 1] and reaches a limit."""
    low, high = float(values.min()), float(values.max())
    return low in (0, -1) and high <= 1 or high == 1 and low >= -1
