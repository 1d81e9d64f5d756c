"""Propose what was known before each decision, and say why the rest was not."""

from stitchrl.sources.columns import Text
from stitchrl.sources.mapping import MAX_CATEGORIES, toml_of
from stitchrl.sources.proposal import Proposal, listed

DATE = "a date: calendar time never repeats, give the time since admission or the like"
TELLS = "it tells the reward: was it known before the decision?"


def propose_observation(
    proposal: Proposal, episode: str | None, reward: str | None
) -> None:
    """Write the observation and what belongs to it; comment out what may not be known."""
    seen = proposal.seen
    dates = [name for name in proposal.free if seen.is_date(name)]
    proposal.take(dates)
    telling = [
        name
        for name in proposal.free
        if reward is not None and seen.tells_reward(name, reward, episode)
    ]
    proposal.take(telling)
    following = set(proposal.starting("next_observation"))
    index = [name for name in proposal.free if seen.is_row_number(name)]
    rest = [name for name in proposal.free if name not in following and name not in index]
    prefixed = [name for name in proposal.starting("observation") if name in rest]
    chosen: list[str] = []
    categories: dict[str, list[str]] = {}
    left = index + [name for name in rest if prefixed and name not in prefixed]
    for name in prefixed or rest:
        is_text = isinstance(proposal.columns[name], Text)
        if is_text and len(seen.values(name)) > MAX_CATEGORIES:
            left.append(name)
            continue
        chosen.append(name)
        if is_text:
            categories[name] = sorted(map(str, seen.values(name)))
    if chosen:
        proposal.set("observation", chosen)
    else:
        proposal.leave('observation = ["COLUMN"]', "No column is left for observations.")
    for names, why in ((dates, DATE), (telling, TELLS)):
        proposal.lines += [f"# not observed: {toml_of(name)}  # {why}" for name in names]
    _following(proposal, chosen, following)
    _say_left(proposal, dates, telling, left)
    if categories:
        proposal.lines.append(f"categories = {toml_of(categories)}")
    _gaps(proposal, chosen)


def _following(proposal: Proposal, chosen: list[str], following: set[str]) -> None:
    for prefix in proposal.vocabulary["prefixes"]["next_observation"]:
        names = [f"{prefix}{name}" for name in chosen]
        if chosen and set(names) <= following:
            proposal.set("next_observation", names)


def _say_left(
    proposal: Proposal, dates: list[str], telling: list[str], left: list[str]
) -> None:
    if dates:
        proposal.unknown.append(
            f"Dates are left out of the observation: {listed(dates)}. Calendar time never "
            "repeats; time since something, such as admission, does."
        )
    if telling:
        proposal.unknown.append(
            f"Left out because the reward can be read off it: {listed(telling)}. Add it to "
            "the observation only if it was known before the decision."
        )
    if left:
        proposal.unknown.append(
            f"Left out: {listed(left)}. Add to observation what was known before each "
            "decision, and nothing else."
        )


def _gaps(proposal: Proposal, chosen: list[str]) -> None:
    gaps = [name for name in chosen if proposal.seen.has_gap(name)]
    if gaps:
        proposal.leave(
            'missing = "flag"',
            f"Values are missing in {listed(gaps)}: fill them with the mean "
            '(missing = "mean"), and perhaps say so in a feature (missing = "flag")?',
        )
