"""The text: where it lies, how it is read and normalised, and its characters as ids."""
