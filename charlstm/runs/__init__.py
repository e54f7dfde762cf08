"""The run directory: what a training leaves behind, checked before it is believed."""
