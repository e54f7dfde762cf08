"""What a model writes: characters drawn, lines led to a form, a song written together."""
