"""What other programs ask: texts that go on from theirs, in the shapes that clients know."""
