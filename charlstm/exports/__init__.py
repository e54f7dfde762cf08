"""What is taken out of a run to be used without charlstm: one page that writes by itself."""
