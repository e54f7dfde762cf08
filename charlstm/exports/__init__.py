"""What is taken out of a run to be used without charlstm: a page that writes, or a graph."""
