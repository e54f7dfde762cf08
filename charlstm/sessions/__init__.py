"""From a text to a run: a training begun, resumed, followed and compared."""
