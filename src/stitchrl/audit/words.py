"""What an audit found, in words."""

from stitchrl.audit import Audit
from stitchrl.audit.returns import QUANTILES


def facts(found: Audit) -> list[tuple[str, str]]:
    """Titles and sentences; a fact without a title goes on from the one before."""
    returns, coverage = found.returns, found.coverage
    stitching, behavior = found.stitching, found.behavior
    quantiles = ", ".join(
        f"{share:.0%}: {value:.4g}" for share, value in zip(QUANTILES, returns.quantiles)
    )
    places = "clusters of states" if found.are_clusters else "states"
    near = "" if stitching.radius is None else f" within {stitching.radius:.2g} deviations"
    gains = ", ".join(f"{gain:+.3g}" for gain in stitching.gains)
    half = returns.half_width
    explained = round(behavior.explained, 2) + 0.0  # Never -0.00.
    within = "" if half is None else f" ± {half:.2g} (95 %)"
    lines = [
        ("Returns", f"mean {returns.mean:.4g}{within}; {quantiles}"),
        (
            "",
            f"from {returns.smallest:.4g} to {returns.largest:.4g}; "
            f"{returns.zero_share:.0%} of episodes are 0; "
            f"{returns.rewarded_share:.1%} of decisions are rewarded; "
            f"{returns.cut_share:.0%} of episodes were cut",
        ),
        (
            "Experts",
            f"{returns.expert_episodes:.0%} of episodes ({returns.expert_rows:.0%} of "
            "decisions) are about as good as the best tenth",
        ),
        (
            "Coverage",
            f"{coverage.places:,} {places} ({coverage.effective_places:,.0f} effective), "
            f"{coverage.moves:,} actions; {coverage.tried_share:.0%} of pairs were tried, "
            f"{coverage.often_share:.0%} ten times; {coverage.entropy:.2f} bits a decision",
        ),
        (
            "Stitching",
            f"{stitching.stitchability:.0%} of worse episodes meet a better one{near}; the "
            f"best policy of actions tried 1, 5, 20 times gains {gains} in a model of the "
            "log, which takes luck for skill: more than can be had",
        ),
        (
            "Who acted",
            f"{behavior.ways} way{'s' if behavior.ways > 1 else ''} of acting; the state "
            f"explains {explained:.2f} of {behavior.entropy:.2f} bits",
        ),
    ]
    for change, what in ((behavior.returns, "returns"), (behavior.acting, "surprise")):
        word = f"break after {change.at:,} episodes" if change.is_sure else "no sure break"
        lines.append(
            (
                "Over time" if what == "returns" else "",
                f"{what}: {word} (p = {change.p:.3g}): {change.before:.4g}, then "
                f"{change.after:.4g}",
            )
        )
    return lines
