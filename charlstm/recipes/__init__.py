"""What can be chosen: a model's architecture, how it is trained, and the recipes with a name."""
