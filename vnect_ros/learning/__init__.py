"""Training: sources, losses, the loop, and the export of bundles."""
