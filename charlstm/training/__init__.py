"""Truncated backpropagation through time: windows, steps, epochs, and what happens in them."""
