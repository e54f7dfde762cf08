"""What a model remembers of what it has read, and how that is blended with what it computes."""
