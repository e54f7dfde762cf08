"""The recurrent layers: from the equations up, and as the library has them.

Both kinds have one method, ``unroll``, one set of parameter names, shapes and block orders (those
of `torch.nn.LSTM`), and so one checkpoint.
"""
