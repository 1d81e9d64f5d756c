"""What the log can teach, as `stitchrl audit` sees it."""

from dataclasses import asdict

from stitchrl.audit import audit
from stitchrl.audit.words import facts
from stitchrl.job.reporting.material import Material
from stitchrl.report.audit import AuditPanel, Fact, LogMap, Passage, Site

FEWEST_SITES = 3  # For a map.


def audit_panel(material: Material) -> AuditPanel:
    """Of the whole log, whatever it was split into."""
    results = material.results
    found = audit(results.dataset, discount=results.discount, seed=material.plan.seed)
    of_log = found.map
    shown = None
    if len(of_log.sites) >= FEWEST_SITES:
        shown = LogMap(
            sites=[Site(**asdict(site)) for site in of_log.sites],
            passages=[Passage(**asdict(passage)) for passage in of_log.passages],
            are_clusters=found.are_clusters,
            places=of_log.places,
            visits_share=of_log.visits_share,
        )
    said = [Fact(title=title, sentence=sentence) for title, sentence in facts(found)]
    return AuditPanel(facts=said, map=shown)
