"""The HTTP server: API, web page, browser extension.

`create_app` makes the application over an open index, `run` serves it. Needs the extra `serve`.
"""
