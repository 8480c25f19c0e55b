"""How good a model or a pipeline is: metrics, the sets they are taken on, and baselines."""
