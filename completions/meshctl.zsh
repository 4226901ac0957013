#compdef meshctl
# zsh completion for meshctl, written by `meshctl completions zsh`.
_meshctl_live() {
    local -a found
    found=(${(f)"$("${typed[1]}" __complete "$1" "${(@)typed[2,-1]}" 2>/dev/null </dev/null)"})
    if [[ ${found[1]} == *= ]]; then compadd -S '' -a found; else compadd -a found; fi
}
_meshctl() {
    local at="" last=1 index
    local -a commands typed
    typed=("${(@)words[1,CURRENT-1]}")
    for (( index = 2; index < CURRENT; index++ )); do
        case "${at:+$at }${words[index]}" in
            "demo"|"init"|"up"|"down"|"validate"|"diff"|"apply"|"gateway"|"gateway up"|"gateway status"|"gateway reload"|"gateway down"|"gateway logs"|"sidecar"|"sidecar wrap"|"sidecar ls"|"sidecar drain"|"routes"|"routes ls"|"routes explain"|"services"|"services ls"|"services show"|"api"|"api ls"|"api callers"|"limits"|"limits ls"|"limits reset"|"traffic"|"traffic split"|"traffic shift"|"traffic promote"|"traffic rollback"|"traffic reset"|"traffic history"|"traffic rollout"|"traffic pause"|"traffic resume"|"traffic abort"|"traffic mirror"|"traffic fault"|"keys"|"keys create"|"keys ls"|"keys rotate"|"keys revoke"|"certs"|"certs init"|"certs issue"|"certs ls"|"certs show"|"certs verify"|"certs rotate"|"certs revoke"|"certs bundle"|"certs mtls"|"certs trust"|"certs trust install"|"certs trust uninstall"|"certs trust status"|"config"|"config show"|"config schema"|"config history"|"config rollback"|"config export"|"status"|"stat"|"tap"|"top"|"edges"|"logs"|"metrics"|"metrics show"|"metrics dashboard"|"metrics alerts"|"metrics scrape"|"doctor"|"completions") at="${at:+$at }${words[index]}"; last=$index ;;
        esac
    done
    words=(meshctl "${(@)words[last+1,-1]}")
    (( CURRENT -= last - 1 ))
    case "$at" in
        "")
            commands+=('demo:Run a gateway and two wrapped services, one in two versions, with live traffic')
            commands+=('init:Write a mesh.toml to start from, with the files that a template needs beside it')
            commands+=('up:Apply a mesh.toml and run all it has: the gateway, and each `command`, wrapped')
            commands+=('down:End what `meshctl up` has started, and only that')
            commands+=('validate:Check a mesh.toml and tell every problem at once, each with its line')
            commands+=('diff:Show what applying a mesh.toml would change')
            commands+=('apply:Make a mesh.toml the current revision, and wait until every running proxy has taken it')
            commands+=('gateway:Start the gateway, look at it, change it, stop it')
            commands+=('sidecar:Run an app as a member of the mesh, look at those that are, keep one from requests')
            commands+=('routes:The live routes, and which of them takes a request')
            commands+=('services:The services behind the routes: versions, endpoints, health')
            commands+=('api:The versions of APIs: how long each has to live, and who still calls those that are to go')
            commands+=('limits:What callers have used of the quotas of routes')
            commands+=('traffic:Which version of a service takes how much: shown, shifted, taken back; nothing restarts, no request fails')
            commands+=('keys:API keys: made, listed, replaced, revoked; every proxy knows at once')
            commands+=('certs:The mesh'\''s own certificates: who has which, how long, and new ones for all of them while everything runs')
            commands+=('config:The configuration in force, its schema, and the way back to an earlier one')
            commands+=('status:Show how the whole mesh is, on one page, each line with the command that tells more')
            commands+=('stat:Show how services fare: success, requests per second, latencies, what is under way, and why proxies refused')
            commands+=('tap:Show requests as they pass, one line each, live from every proxy, until Ctrl-C')
            commands+=('top:Show which kinds of requests there are most of, live: who calls whom, with what, how often, how fast, how well')
            commands+=('edges:Show who calls whom: which version, as whom, over mutual TLS or not, how often and with what success')
            commands+=('logs:Print the last log lines of all proxies in the order of time, each with who wrote it')
            commands+=('metrics:What Prometheus reads of all proxies, and a dashboard, alert rules and a scrape configuration for it')
            commands+=('doctor:Look whether everything is all right: this machine, the mesh'\''s home and store, certificates, running proxies')
            commands+=('completions:Print the completion script of a shell')
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-V[Show the version and end]' '*--version[Show the version and end]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "demo")
            _arguments \
                '*--for[End by itself after this long, "10s" for one]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "init")
            _arguments \
                '*-t[What to start from (default\: minimal)]:minimal api canary mesh tls full:(minimal api canary mesh tls full)' '*--template[What to start from (default\: minimal)]:minimal api canary mesh tls full:(minimal api canary mesh tls full)' \
                '*--from-openapi[An OpenAPI document that it is to be for]:FILE:_files' \
                '*--url[With --from-openapi\: where the application is]:URL: ' \
                '*--force[Replace a file that is there]' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:PATH:_files' ;;
        "up")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*-d[Run in the background; return when everything is ready]' '*--detach[Run in the background; return when everything is ready]' \
                '*--timeout[How long each may take until it is ready (default\: 60s)]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE…: _meshctl_live services' ;;
        "down")
            _arguments \
                '*--timeout[How long to wait for it (default\: 60s)]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "validate")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:FILE:_files' ;;
        "diff")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*--exit-code[End with 1 where there are differences]' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "apply")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*--expect[Apply only if revision N is still the current one]:N: ' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "gateway")
            commands+=('up:Start the gateway: from a mesh.toml, from routes given here, or from both')
            commands+=('status:Show the running proxies, the gateway first: where each listens, which revision it serves, and its worker processes')
            commands+=('reload:Read the file the gateway was started with again, and apply it')
            commands+=('down:Stop the gateway: it accepts nothing new, finishes what is in flight, and ends')
            commands+=('logs:Print the end of the gateway'\''s log files: its own, and the access log where that goes to a file')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "gateway up")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*-r[Send a path to a URL; may be given again]:PATH=URL: ' '*--route[Send a path to a URL; may be given again]:PATH=URL: ' \
                '*-l[Listen here (default\: as the file says, else 127.0.0.1\:8080); port 0 is a free one, no host every address]:ADDR: ' '*--listen[Listen here (default\: as the file says, else 127.0.0.1\:8080); port 0 is a free one, no host every address]:ADDR: ' \
                '*--admin[Serve /metrics, /healthz and /readyz here, or off (default\: as the file says, else a free port)]:ADDR: ' \
                '*-w[Worker processes; auto is one for each core (default\: as the file says, else 1)]:N auto:(auto)' '*--workers[Worker processes; auto is one for each core (default\: as the file says, else 1)]:N auto:(auto)' \
                '*-d[Run in the background; return when it is ready]' '*--detach[Run in the background; return when it is ready]' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "gateway status")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "gateway reload")
            _arguments \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "gateway down")
            _arguments \
                '*--timeout[How long to wait for it (default\: 40s)]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "gateway logs")
            _arguments \
                '*-f[Go on with what is written from now on]' '*--follow[Go on with what is written from now on]' \
                '*-n[How many of the last lines (default\: 20)]:N: ' '*--lines[How many of the last lines (default\: 20)]:N: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "sidecar")
            commands+=('wrap:Run an app as a member of the mesh: with an identity, mutual TLS, and every service in reach by its name')
            commands+=('ls:List the running sidecars: their apps and how these fare, where requests come in, and how long their certificates still last')
            commands+=('drain:Keep a sidecar from taking requests, while its app runs on')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "sidecar wrap")
            _arguments \
                '*-s[The service it is (default\: the command'\''s name)]:NAME: _meshctl_live services' '*--service[The service it is (default\: the command'\''s name)]:NAME: _meshctl_live services' \
                '*--version[The version it is (default\: the service'\''s only one)]:NAME: ' \
                '*-p[Where it listens (default\: a free port, in $PORT)]:PORT: ' '*--port[Where it listens (default\: a free port, in $PORT)]:PORT: ' \
                '*-u[Give it a port on this machine that leads to a service, told in $NAME_URL, or in $NAME_ADDR for tcp]:NAME[:tcp][=PORT]: ' '*--upstream[Give it a port on this machine that leads to a service, told in $NAME_URL, or in $NAME_ADDR for tcp]:NAME[:tcp][=PORT]: ' \
                '*--restart[When it is started again (default\: no)]:no on-failure always:(no on-failure always)' \
                '*--grace[From asking it to end to killing it (default\: 10s)]:DURATION: ' \
                '*--health[Send it requests once this path answers with success (default\: once it takes connections)]:PATH:_files' \
                '*--ready-timeout[Until its being late is told (default\: 60s; 0s\: never)]:DURATION: ' \
                '*-g[Serve the mesh'\''s routes here as well]:ADDR: ' '*--gateway[Serve the mesh'\''s routes here as well]:ADDR: ' \
                '*--admin[Serve /metrics, /healthz and /readyz here, or off (default\: a free port)]:ADDR: ' \
                '*--no-proxy-env[Leave $HTTP_PROXY, $HTTPS_PROXY and $NO_PROXY as they are]' \
                '*--no-trace-hook[Leave a Python app'\''s calls alone\: they join no trace by themselves]' \
                '*--intercept[Give it a network of its own, where all its connections go through its proxy, whatever it does (Linux); with =auto only where that is allowed]' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:-- COMMAND…: ' ;;
        "sidecar ls")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "sidecar drain")
            _arguments \
                '*--undo[Have it take requests again]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SIDECAR|SERVICE: _meshctl_live sidecars' ;;
        "routes")
            commands+=('ls:List the live routes of every running proxy: what each matches, where it sends, and how it fares')
            commands+=('explain:Tell which route takes a request, what becomes of it, and why every other route lost')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "routes ls")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "routes explain")
            _arguments \
                '*-H["name\: value"; may be given again]:HEADER: ' '*--header["name\: value"; may be given again]:HEADER: ' \
                '*-c[Ask this file, not the running gateway]:FILE:_files' '*--config[Ask this file, not the running gateway]:FILE:_files' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:METHOD: ' ;;
        "services")
            commands+=('ls:List the services of every running proxy, with their versions'\'' weights and healthy endpoints')
            commands+=('show:Show a service: each version'\''s weight and real share, each endpoint'\''s health, and why it is what it is')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "services ls")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "services show")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:NAME: _meshctl_live services' ;;
        "api")
            commands+=('ls:List the versions of every API: which is the default, how long each has to live, and how much it is asked for')
            commands+=('callers:List who still calls a version of an API, how often each came since its gateway started, and when it did last')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "api ls")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "api callers")
            _arguments \
                '*--top[Only those who came most often (default\: 50)]:N: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:API: _meshctl_live apis,api_versions' ;;
        "limits")
            commands+=('ls:List the quotas that were used in the day or month that runs: by whom, how much, and when they begin anew')
            commands+=('reset:Give callers back what they have used of a route'\''s quotas')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "limits ls")
            _arguments \
                '*--route[Only of this route]:ROUTE: _meshctl_live routes' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "limits reset")
            _arguments \
                '*--quota[Only this quota]:NAME: ' \
                '*--key[Only what this caller used]:KEY: ' \
                '*--all[What anybody has used of any quota]' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:ROUTE: _meshctl_live routes' ;;
        "traffic")
            commands+=('split:Show how a service'\''s traffic is split: each version'\''s weight in the file and live, its healthy endpoints, and what it really got in the last minute, over all running proxies')
            commands+=('shift:Change the weights of a service'\''s versions in every running proxy, now, and wait until all have them')
            commands+=('promote:Send all of a service'\''s traffic to one version (blue/green), and wait until every running proxy does')
            commands+=('rollback:Bring back the weights before the last change, in every running proxy; again, and it goes back one further')
            commands+=('reset:Drop a service'\''s live weights: those of the file hold again, in every running proxy')
            commands+=('history:List what was done to a service'\''s weights, newest first: when, by whom, and the weights before and after')
            commands+=('rollout:Let a version take over step by step, watched by the proxies'\'' own counters, and take it back where it does badly')
            commands+=('pause:Hold a rollout where it is: its weights stay, no check and no step is made')
            commands+=('resume:Let a paused rollout go on, counting anew for the next check')
            commands+=('abort:Call a rollout off: bring back the weights from before it, step by step where it has --rollback ramp')
            commands+=('mirror:Copy a share of a service'\''s requests to a version, whose answers nobody gets; without --to, show what came of it')
            commands+=('fault:Inject faults into the requests to a service, in every proxy that sends to it; without any, show what holds')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "traffic split")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic shift")
            _arguments \
                '*--force[Even to a version without a healthy endpoint]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services,shares' ;;
        "traffic promote")
            _arguments \
                '*--force[Even to a version without a healthy endpoint]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services,versions' ;;
        "traffic rollback")
            _arguments \
                '*--force[Even to a version without a healthy endpoint]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic reset")
            _arguments \
                '*--force[Even to a version without a healthy endpoint]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic history")
            _arguments \
                '*-n[How many, newest first (default\: 20)]:N: ' '*--lines[How many, newest first (default\: 20)]:N: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic rollout")
            _arguments \
                '*--to[Who is to take over; without it, show the last one, and follow it while it runs]:VERSION: _meshctl_live versions' \
                '*--steps[Its shares, ascending (default\: 1,5,25,50,100)]:PERCENT,…: ' \
                '*--every[Between two checks (default\: 60s)]:DURATION: ' \
                '*--max-errors[Failed requests that pass (default\: 1%)]:PERCENT: ' \
                '*--max-p99[The longest p99 that passes (default\: any)]:DURATION: ' \
                '*--min-requests[With fewer no check passes (default\: 100)]:N: ' \
                '*--failures[Failed checks in a row that roll back (default\: 2)]:N: ' \
                '*--compare-to[What it must not be worse than, by --max-errors and latency]:baseline VERSION: _meshctl_live rivals' \
                '*--rollback[Go back at once, or by the same steps (default\: now)]:now ramp:(now ramp)' \
                '*--on-step[Run by the proxy that drives it after each step]:CMD: ' \
                '*--on-promote[Run by the proxy that drives it when it has everything]:CMD: ' \
                '*--on-rollback[Run by the proxy that drives it when it goes back]:CMD: ' \
                '*--gate[Run by the proxy that drives it with each check; it fails where this does]:CMD: ' \
                '*--force[Even to a version without a healthy endpoint]' \
                '*--detach[Start it and return; the proxies drive it]' \
                '*--number[Without --to\: show this earlier one]:N: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic pause")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic resume")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic abort")
            _arguments \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic mirror")
            _arguments \
                '*--to[Who gets the copies]:VERSION: _meshctl_live versions' \
                '*--percent[Of the requests (default\: 10)]:PERCENT: ' \
                '*--diff[Compare status, content type and body with what the callers got]' \
                '*--ignore[What may differ in JSON\: '\''$..id'\'']:JSONPATH: ' \
                '*--header[Compare this header, too]:NAME: ' \
                '*--all-methods[Copy requests that change something, too\: they do so twice]' \
                '*--stop[Make no more copies]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "traffic fault")
            _arguments \
                '*--delay[Let requests wait first\: 300ms@20%]:DURATION@PERCENT: ' \
                '*--abort[Answer with a status instead\: 503@5%]:STATUS@PERCENT: ' \
                '*--reset[Cut the caller'\''s connection\: 1%]:PERCENT: ' \
                '*--throttle[Let the bodies of answers drip\: 64KiB/s]:SIZE/s: ' \
                '*--from[Only for what this service sends, or the gateway]:SERVICE: _meshctl_live services' \
                '*--for[How long (default\: 10m; at most 24h)]:DURATION: ' \
                '*--clear[End them now, those --from a caller alone where given]' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "keys")
            commands+=('create:Make an API key for routes whose `auth` takes one, and show it: this once, for the store has only its digest')
            commands+=('ls:List the API keys by id: nobody can see the keys themselves again')
            commands+=('rotate:Make a key in the place of another one, with the same owner, scopes and life')
            commands+=('revoke:Have an API key hold no more, in every proxy at once')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "keys create")
            _arguments \
                '*--owner[Whose key it is (required)]:NAME: ' \
                '*--scope[What it may]:SCOPE: ' \
                '*--expires[How long it holds\: 90d (default\: for ever)]:DURATION: ' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "keys ls")
            _arguments \
                '*--owner[Those of one owner]:NAME: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "keys rotate")
            _arguments \
                '*--overlap[How long the old key still holds (default\: 1h)]:DURATION: ' \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:KEY: _meshctl_live keys' ;;
        "keys revoke")
            _arguments \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:KEY: _meshctl_live keys' ;;
        "certs")
            commands+=('init:Make the mesh'\''s certificate authority, or bring an existing one in order')
            commands+=('issue:Issue a certificate for a server of your own, signed by the mesh'\''s authority')
            commands+=('ls:List the mesh'\''s certificates: whose they are, how long they still live, and which running proxy uses them')
            commands+=('show:Show all that is known of a certificate: one that was issued here, or those in a PEM file')
            commands+=('verify:Check a certificate against the roots of the mesh: chain, time, revocation, identity, host')
            commands+=('rotate:Give running proxies new keys and certificates, without losing a request, and wait until each one has them')
            commands+=('revoke:Have every proxy of the mesh refuse certificates from now on, and close connections made with them')
            commands+=('bundle:Print the roots that the mesh trusts, as PEM, for clients outside of it')
            commands+=('mtls:Show whether each service takes only mutual TLS (`mtls` in mesh.toml), and how much still comes in plain')
            commands+=('trust:Whether programs on this machine, such as browsers, trust the mesh'\''s roots')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "certs init")
            _arguments \
                '*--passphrase-file[Read the passphrase of the root'\''s key from a file]:FILE:_files' \
                '*--passphrase[Ask for the passphrase of the root'\''s key]' \
                '*--offline-root[Where the root'\''s key is kept instead, such as on a stick]:DIR:_files -/' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "certs issue")
            _arguments \
                '*--dns[Another host name; may be repeated]:HOST: ' \
                '*--ip[Another address; may be repeated]:ADDRESS: ' \
                '*--days[How long it lives (default\: 90)]:N: ' \
                '*--out[Where to write it (default\: here)]:DIR:_files -/' \
                '*--client[Make it good for a client too]' \
                '*--p12[Write a PKCS #12 file as well]' \
                '*--p12-passphrase-file[Its passphrase (default\: "changeit")]:FILE:_files' \
                '*--force[Replace files that are there]' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:NAME…: ' ;;
        "certs ls")
            _arguments \
                '*-a[Also those that newer ones replaced]' '*--all[Also those that newer ones replaced]' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "certs show")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:NAME: _meshctl_live identities' ;;
        "certs verify")
            _arguments \
                '*--for[The host name or address it should be good for]:HOST: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:FILE:_files' ;;
        "certs rotate")
            _arguments \
                '*--all[Of every service and the gateway, as without a name]' \
                '*--root[Change the whole mesh over to a new root]' \
                '*--status[With --root\: show where a change stands]' \
                '*--resume[With --root\: go on where one was interrupted]' \
                '*--abort[With --root\: go back to the old root]' \
                '*--timeout[How long to wait for the proxies (default\: 60s)]:DURATION: ' \
                '*--passphrase-file[Read the passphrase of the root'\''s key from a file]:FILE:_files' \
                '*--passphrase[Ask for the passphrase of the root'\''s key]' \
                '*--offline-root[Where the root'\''s key is kept instead, such as on a stick]:DIR:_files -/' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE…: _meshctl_live services' ;;
        "certs revoke")
            _arguments \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:NAME…: _meshctl_live identities' ;;
        "certs bundle")
            _arguments \
                '*--out[Write it there (default\: stdout)]:FILE:_files' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "certs mtls")
            _arguments \
                '*--dry-run[List who would be refused by strict mutual TLS]' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE: _meshctl_live services' ;;
        "certs trust")
            commands+=('install:Have this machine'\''s programs trust the mesh'\''s roots')
            commands+=('uninstall:Have this machine'\''s programs trust the mesh'\''s roots no longer, also those that were rotated away')
            commands+=('status:Show in which trust stores of this machine each root of the mesh is')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "certs trust install")
            _arguments \
                '*--store[Which\: the system'\''s, or the browsers'\'' own (NSS) (default\: all)]:all system nss:(all system nss)' \
                '*--prefix[The system that is built below DIR, such as an image'\''s]:DIR:_files -/' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "certs trust uninstall")
            _arguments \
                '*--store[Which\: the system'\''s, or the browsers'\'' own (NSS) (default\: all)]:all system nss:(all system nss)' \
                '*--prefix[The system that is built below DIR, such as an image'\''s]:DIR:_files -/' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "certs trust status")
            _arguments \
                '*--store[Which\: the system'\''s, or the browsers'\'' own (NSS) (default\: all)]:all system nss:(all system nss)' \
                '*--prefix[The system that is built below DIR, such as an image'\''s]:DIR:_files -/' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "config")
            commands+=('show:Show every setting of a mesh.toml that is in force: its value, and its line in the file or "default"')
            commands+=('schema:Print the JSON Schema of mesh.toml, for completion and checks in editors')
            commands+=('history:List the revisions that can be rolled back to, newest first: when, by whom and from what each was applied')
            commands+=('rollback:Apply an earlier revision again, as a new one, and wait until every running proxy has taken it')
            commands+=('export:Write an applied revision as a mesh.toml, with every setting: to have a file back, or what --route asked for')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "config show")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "config schema")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "config history")
            _arguments \
                '*-n[How many, newest first (default\: 20)]:N: ' '*--lines[How many, newest first (default\: 20)]:N: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "config rollback")
            _arguments \
                '*--timeout[How long to wait for the proxies (default\: 10s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:REVISION: _meshctl_live revisions' ;;
        "config export")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:REVISION: _meshctl_live revisions' ;;
        "status")
            _arguments \
                '*--timeout[What a proxy gets to answer (default\: 1s)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "stat")
            _arguments \
                '*--by[What a row stands for (default\: service)]:service version route edge:(service version route edge)' \
                '*-w[How far back\: 1s to 15m (default\: 1m)]:DURATION: ' '*--window[How far back\: 1s to 15m (default\: 1m)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE…: _meshctl_live services' ;;
        "tap")
            _arguments \
                '*--from[Only calls of this service or address]:WHO: _meshctl_live callers' \
                '*--to[Only calls to this service, or version\: a/v2]:WHOM: _meshctl_live targets' \
                '*--method[Only GET, POST…]:METHOD: ' \
                '*--path[Only below this path, or "/a/*/b"]:PATH:_files' \
                '*--status[Only 503, 5xx, 400-499…]:STATUS: ' \
                '*--header[Only with this request header\: "x-user\: al*", or a name]:HEADER: ' \
                '*--slow[Only what took at least so long\: 200ms]:DURATION: ' \
                '*--max-rate[Requests a second to show at most (default\: 100)]:RATE: ' \
                '*--hops[Tell of a request at each proxy on its way, not only at the sender'\''s]' \
                '*-n[End after so many (default\: go on)]:COUNT: ' '*--lines[End after so many (default\: go on)]:COUNT: ' \
                '*--for[End after this time (default\: go on)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE…: _meshctl_live services' ;;
        "top")
            _arguments \
                '*--from[Only calls of this service or address]:WHO: _meshctl_live callers' \
                '*--to[Only calls to this service, or version\: a/v2]:WHOM: _meshctl_live targets' \
                '*--method[Only GET, POST…]:METHOD: ' \
                '*--path[Only below this path, or "/a/*/b"]:PATH:_files' \
                '*--status[Only 503, 5xx, 400-499…]:STATUS: ' \
                '*--header[Only with this request header\: "x-user\: al*", or a name]:HEADER: ' \
                '*--slow[Only what took at least so long\: 200ms]:DURATION: ' \
                '*--max-rate[Requests a second that each worker tells of at most (default\: 1000)]:RATE: ' \
                '*--sort[What stands first (default\: count)]:count best worst last success:(count best worst last success)' \
                '*--every[How often plain lines are written (default\: 2s)]:DURATION: ' \
                '*--for[End after this time (default\: go on)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE…: _meshctl_live services' ;;
        "edges")
            _arguments \
                '*-w[How far back\: 1s to 15m (default\: 1m)]:DURATION: ' '*--window[How far back\: 1s to 15m (default\: 1m)]:DURATION: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:SERVICE…: _meshctl_live services' ;;
        "logs")
            _arguments \
                '*-f[Go on with what is written from now on]' '*--follow[Go on with what is written from now on]' \
                '*-n[How many of the last lines (default\: 20)]:N: ' '*--lines[How many of the last lines (default\: 20)]:N: ' \
                '*--grep[Only lines in which this stands]:TEXT: ' \
                '*--status[Only requests with 503, 5xx, 400-499…]:STATUS: ' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:WHOSE…: _meshctl_live sources' ;;
        "metrics")
            commands+=('show:Print the metrics of all running proxies, each series with its proxy'\''s id, as Prometheus reads them')
            commands+=('dashboard:Print a Grafana dashboard: import it, and choose the Prometheus that has the metrics')
            commands+=('alerts:Print alert rules for Prometheus: name their file under `rule_files`')
            commands+=('scrape:Print a configuration for Prometheus that scrapes the whole mesh at one target, the gateway'\''s admin address')
            _arguments \
                '*-h[Show this text]' '*--help[Show this text]' \
                '1:command:{ _describe command commands }' ;;
        "metrics show")
            _arguments \
                '*-o[As Prometheus reads it, or as JSON (default\: text)]:text openmetrics json:(text openmetrics json)' '*--output[As Prometheus reads it, or as JSON (default\: text)]:text openmetrics json:(text openmetrics json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "metrics dashboard")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "metrics alerts")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "metrics scrape")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "doctor")
            _arguments \
                '*-c[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' '*--config[The configuration (default\: the nearest mesh.toml upward)]:FILE:_files' \
                '*-g[Only these checks, such as store, proxies; may be given again]:GROUP: ' '*--group[Only these checks, such as store, proxies; may be given again]:GROUP: ' \
                '*--bundle[Write an archive (tar.gz) without secrets for a bug report]:FILE:_files' \
                '*-o[A table, or one JSON document (default\: table)]:table json:(table json)' '*--output[A table, or one JSON document (default\: table)]:table json:(table json)' \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:: :' ;;
        "completions")
            _arguments \
                '*--home[Where the mesh'\''s state lives (default\: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)]:DIR:_files -/' \
                '*-q[Say nothing but data and errors]' '*--quiet[Say nothing but data and errors]' \
                '*-h[Show this text]' '*--help[Show this text]' \
                '*:bash|zsh|fish:(bash zsh fish)' ;;
    esac
}
_meshctl "$@"
