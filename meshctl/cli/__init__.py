"""The command line: one file per command group. A command parses, asks an inner package, and renders;
it decides nothing.

`app` builds the tree and translates errors to exit statuses, `command` registers a command with the options all share,
`session` is what a command is given, `render` is the only place that prints.
"""
