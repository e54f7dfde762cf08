"""The desk in the browser, and a server that other programs can talk to.

Nothing here is a second truth: whatever is asked is checked, written, trained and measured by the
rooms below, and every error is their sentence.
"""
