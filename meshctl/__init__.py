"""meshctl: an API gateway and a service mesh in one command, without Kubernetes.

The folders, each of which may import those on its right (a test holds this):

    cli → control, sidecar → proxy → pki, store, observe → config, core, wire → model → errors, clock

    model/    what the user wants (frozen values) and views of what is observed
    config/   mesh.toml ⇄ Mesh: decode, cross-checks, differences, JSON schema; documents that say what a route takes
    core/     decisions, pure: route table, balancers, split, retry, breaker, ejection, limits, caches, tokens, rollouts
    wire/     bytes ⇄ messages without I/O: HTTP/1.1 over httptools, forwarding headers, replies
    pki/      certificates, keys, identities, trust stores
    store/    the Protocol every component meets at, and its SQLite implementation
    observe/  counters, histograms, access log, event log, metrics exposition
    proxy/    the data plane: one worker process that turns a snapshot into traffic; filters/ has a file for each filter
    control/  the life around it: supervisor, admin API, the apply transaction, leases and duties; checks/ is `doctor`
    sidecar/  an application wrapped with a proxy of its own, and the team of them that `up` runs
    cli/      one file per command group; render.py is the only place that prints

Two flows:

    a change    mesh.toml → config.files → control.apply → store → supervisor → workers compile a Snapshot and swap it
    a request   downstream → exchange → upstream; the exchange has nine phases: identify, match, filter, split, balance,
                admit, forward, answer, finish

Glossary: a *proxy* is one running instance of the data plane in the role of *gateway* or *sidecar*; it has *listeners*
for *downstream* clients and *endpoints* *upstream*; a *route* sends a request to a *service*, a *split* chooses its
*version*, a *balancer* the endpoint; a *revision* is an applied configuration, a *snapshot* a revision compiled for the
hot path.
"""

__version__ = "0.1.0"
