"""Candidates on a split of the log: families of estimators put to work together."""
