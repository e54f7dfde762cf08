"""How good a model is, and how much it copies."""
