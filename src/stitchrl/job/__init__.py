"""The main job: from a log to a verdict, a report and a policy."""

from stitchrl.job.results import Results, Truth
from stitchrl.job.run import resume_job, run_job

__all__ = ["Results", "Truth", "resume_job", "run_job"]
