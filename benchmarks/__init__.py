"""Measurements of the hot paths, each beside a floor or a peer that is measured in the same run."""
