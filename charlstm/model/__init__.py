"""The language model: cells from their equations, beside the library's, in torch and NumPy."""
