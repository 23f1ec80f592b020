"""What people do, over HTTP: boards, saves, follows, comments, events, and what a person may demand.

The names are those of `visualsearch.people` and of the command line.
"""
