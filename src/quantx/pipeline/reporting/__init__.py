"""Read-only views of what happened: run reports, status, manifest, coverage, cost."""
