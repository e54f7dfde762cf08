"""The pictures of the README and of the documentation, and what makes each of them again.

    pip install -c constraints.txt -e '.[dev]'
    python -m docs.pictures                      # all of them
    python -m docs.pictures train flow           # some
    python -m docs.pictures --where /tmp/here    # keep the run, to draw from it again

Each lands beside this file. Nothing in a terminal's picture is typed by hand: a shell runs the
commands in a pseudo-terminal, a terminal emulator reads what comes, and the screen is drawn as it
stands. Where lines are left out there is an ellipsis.

`train`, `curve`, `write` and `surprisal` show one run, trained for half a minute on the bundled
lyrics. Another machine comes to slightly other weights, with which the same seeds say something
else: look at the songs, and choose other seeds in `commands` if these do not please. `surprisal`
needs Chromium and a Chinese font (on Debian: ``apt-get install chromium fonts-noto-cjk``). `cell`
and `flow` need nothing at all: they are drawn from `charlstm.model.recurrent.equations`, from the
rooms in ``tests/test_architecture.py`` and from the docstrings, and a test says when they are out
of date.
"""
