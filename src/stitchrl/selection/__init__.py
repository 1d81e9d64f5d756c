"""Choosing among candidates: offline by estimates, online with few trials."""
