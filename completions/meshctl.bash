# bash completion for meshctl, written by `meshctl completions bash`.
_meshctl_live() {
    local word
    [[ $previous != "=" && $current != "=" ]] || return
    compopt +o filenames 2>/dev/null
    while IFS= read -r word; do
        [[ $word != "$current"* ]] || COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]}" __complete "$1" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null </dev/null)
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
}
_meshctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local at="" words="" flags="" word
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "${at:+$at }$word" in
            "demo"|"init"|"up"|"down"|"validate"|"diff"|"apply"|"gateway"|"gateway up"|"gateway status"|"gateway reload"|"gateway down"|"gateway logs"|"sidecar"|"sidecar wrap"|"sidecar ls"|"sidecar drain"|"routes"|"routes ls"|"routes explain"|"services"|"services ls"|"services show"|"api"|"api ls"|"api callers"|"limits"|"limits ls"|"limits reset"|"traffic"|"traffic split"|"traffic shift"|"traffic promote"|"traffic rollback"|"traffic reset"|"traffic history"|"traffic rollout"|"traffic pause"|"traffic resume"|"traffic abort"|"traffic mirror"|"traffic fault"|"keys"|"keys create"|"keys ls"|"keys rotate"|"keys revoke"|"certs"|"certs init"|"certs issue"|"certs ls"|"certs show"|"certs verify"|"certs rotate"|"certs revoke"|"certs bundle"|"certs mtls"|"certs trust"|"certs trust install"|"certs trust uninstall"|"certs trust status"|"config"|"config show"|"config schema"|"config history"|"config rollback"|"config export"|"status"|"stat"|"tap"|"top"|"edges"|"logs"|"metrics"|"metrics show"|"metrics dashboard"|"metrics alerts"|"metrics scrape"|"doctor"|"completions") at=${at:+$at }$word ;;
        esac
    done
    case "$at $previous" in
        "sidecar wrap -s"|"sidecar wrap --service"|"traffic fault --from") _meshctl_live services; return ;;
        "limits ls --route") _meshctl_live routes; return ;;
        "traffic rollout --to"|"traffic mirror --to") _meshctl_live versions; return ;;
        "traffic rollout --compare-to") _meshctl_live rivals; return ;;
        "tap --from"|"top --from") _meshctl_live callers; return ;;
        "tap --to"|"top --to") _meshctl_live targets; return ;;
    esac
    case "$previous" in
        --home|--offline-root|--out|--prefix) COMPREPLY=($(compgen -d -- "$current")); return ;;
        --for|--url|--timeout|--expect|-r|--route|-l|--listen|--admin|-n|--lines|-s|--service|--version|-p|--port|-u|--upstream|--grace|--ready-timeout|-g|--gateway|-H|--header|--top|--quota|--key|--to|--steps|--every|--max-errors|--max-p99|--min-requests|--failures|--on-step|--on-promote|--on-rollback|--gate|--number|--percent|--ignore|--delay|--abort|--reset|--throttle|--from|--owner|--scope|--expires|--overlap|--dns|--ip|--days|-w|--window|--method|--status|--slow|--max-rate|--grep|--group) COMPREPLY=(); return ;;
        -t|--template) COMPREPLY=($(compgen -W "minimal api canary mesh tls full" -- "$current")); return ;;
        --from-openapi|-c|--config|--health|--passphrase-file|--p12-passphrase-file|--out|--path|--bundle) COMPREPLY=($(compgen -f -- "$current")); return ;;
        -o|--output) COMPREPLY=($(compgen -W "table json" -- "$current")); return ;;
        -w|--workers) COMPREPLY=($(compgen -W "auto" -- "$current")); return ;;
        --restart) COMPREPLY=($(compgen -W "no on-failure always" -- "$current")); return ;;
        --compare-to) COMPREPLY=($(compgen -W "baseline" -- "$current")); return ;;
        --rollback) COMPREPLY=($(compgen -W "now ramp" -- "$current")); return ;;
        --store) COMPREPLY=($(compgen -W "all system nss" -- "$current")); return ;;
        --by) COMPREPLY=($(compgen -W "service version route edge" -- "$current")); return ;;
        --sort) COMPREPLY=($(compgen -W "count best worst last success" -- "$current")); return ;;
        -o|--output) COMPREPLY=($(compgen -W "text openmetrics json" -- "$current")); return ;;
    esac
    case "$at" in
        "") words="demo init up down validate diff apply gateway sidecar routes services api limits traffic keys certs config status stat tap top edges logs metrics doctor completions" flags="--home -q --quiet -V --version -h --help" ;;
        "demo") words="" flags="--for --home -q --quiet -h --help" ;;
        "init") words="" flags="-t --template --from-openapi --url --force --home -q --quiet -h --help" ;;
        "up") words="" flags="-c --config -d --detach --timeout --home -q --quiet -h --help" ;;
        "down") words="" flags="--timeout --home -q --quiet -h --help" ;;
        "validate") words="" flags="-c --config -o --output --home -q --quiet -h --help" ;;
        "diff") words="" flags="-c --config --exit-code -o --output --home -q --quiet -h --help" ;;
        "apply") words="" flags="-c --config --expect --timeout -o --output --home -q --quiet -h --help" ;;
        "gateway") words="up status reload down logs" flags="-h --help" ;;
        "gateway up") words="" flags="-c --config -r --route -l --listen --admin -w --workers -d --detach --home -q --quiet -h --help" ;;
        "gateway status") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "gateway reload") words="" flags="--timeout --home -q --quiet -h --help" ;;
        "gateway down") words="" flags="--timeout --home -q --quiet -h --help" ;;
        "gateway logs") words="" flags="-f --follow -n --lines --home -q --quiet -h --help" ;;
        "sidecar") words="wrap ls drain" flags="-h --help" ;;
        "sidecar wrap") words="" flags="-s --service --version -p --port -u --upstream --restart --grace --health --ready-timeout -g --gateway --admin --no-proxy-env --no-trace-hook --intercept --home -q --quiet -h --help" ;;
        "sidecar ls") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "sidecar drain") words="" flags="--undo --timeout --home -q --quiet -h --help" ;;
        "routes") words="ls explain" flags="-h --help" ;;
        "routes ls") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "routes explain") words="" flags="-H --header -c --config -o --output --home -q --quiet -h --help" ;;
        "services") words="ls show" flags="-h --help" ;;
        "services ls") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "services show") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "api") words="ls callers" flags="-h --help" ;;
        "api ls") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "api callers") words="" flags="--top -o --output --home -q --quiet -h --help" ;;
        "limits") words="ls reset" flags="-h --help" ;;
        "limits ls") words="" flags="--route -o --output --home -q --quiet -h --help" ;;
        "limits reset") words="" flags="--quota --key --all -o --output --home -q --quiet -h --help" ;;
        "traffic") words="split shift promote rollback reset history rollout pause resume abort mirror fault" flags="-h --help" ;;
        "traffic split") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "traffic shift") words="" flags="--force --timeout -o --output --home -q --quiet -h --help" ;;
        "traffic promote") words="" flags="--force --timeout -o --output --home -q --quiet -h --help" ;;
        "traffic rollback") words="" flags="--force --timeout -o --output --home -q --quiet -h --help" ;;
        "traffic reset") words="" flags="--force --timeout -o --output --home -q --quiet -h --help" ;;
        "traffic history") words="" flags="-n --lines -o --output --home -q --quiet -h --help" ;;
        "traffic rollout") words="" flags="--to --steps --every --max-errors --max-p99 --min-requests --failures --compare-to --rollback --on-step --on-promote --on-rollback --gate --force --detach --number -o --output --home -q --quiet -h --help" ;;
        "traffic pause") words="" flags="--home -q --quiet -h --help" ;;
        "traffic resume") words="" flags="--home -q --quiet -h --help" ;;
        "traffic abort") words="" flags="--timeout --home -q --quiet -h --help" ;;
        "traffic mirror") words="" flags="--to --percent --diff --ignore --header --all-methods --stop --timeout -o --output --home -q --quiet -h --help" ;;
        "traffic fault") words="" flags="--delay --abort --reset --throttle --from --for --clear --timeout -o --output --home -q --quiet -h --help" ;;
        "keys") words="create ls rotate revoke" flags="-h --help" ;;
        "keys create") words="" flags="--owner --scope --expires --timeout -o --output --home -q --quiet -h --help" ;;
        "keys ls") words="" flags="--owner -o --output --home -q --quiet -h --help" ;;
        "keys rotate") words="" flags="--overlap --timeout -o --output --home -q --quiet -h --help" ;;
        "keys revoke") words="" flags="--timeout -o --output --home -q --quiet -h --help" ;;
        "certs") words="init issue ls show verify rotate revoke bundle mtls trust" flags="-h --help" ;;
        "certs init") words="" flags="--passphrase-file --passphrase --offline-root -o --output --home -q --quiet -h --help" ;;
        "certs issue") words="" flags="--dns --ip --days --out --client --p12 --p12-passphrase-file --force -o --output --home -q --quiet -h --help" ;;
        "certs ls") words="" flags="-a --all -o --output --home -q --quiet -h --help" ;;
        "certs show") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "certs verify") words="" flags="--for -o --output --home -q --quiet -h --help" ;;
        "certs rotate") words="" flags="--all --root --status --resume --abort --timeout --passphrase-file --passphrase --offline-root -o --output --home -q --quiet -h --help" ;;
        "certs revoke") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "certs bundle") words="" flags="--out -o --output --home -q --quiet -h --help" ;;
        "certs mtls") words="" flags="--dry-run -o --output --home -q --quiet -h --help" ;;
        "certs trust") words="install uninstall status" flags="-h --help" ;;
        "certs trust install") words="" flags="--store --prefix --home -q --quiet -h --help" ;;
        "certs trust uninstall") words="" flags="--store --prefix --home -q --quiet -h --help" ;;
        "certs trust status") words="" flags="--store --prefix -o --output --home -q --quiet -h --help" ;;
        "config") words="show schema history rollback export" flags="-h --help" ;;
        "config show") words="" flags="-c --config -o --output --home -q --quiet -h --help" ;;
        "config schema") words="" flags="--home -q --quiet -h --help" ;;
        "config history") words="" flags="-n --lines -o --output --home -q --quiet -h --help" ;;
        "config rollback") words="" flags="--timeout -o --output --home -q --quiet -h --help" ;;
        "config export") words="" flags="--home -q --quiet -h --help" ;;
        "status") words="" flags="--timeout -o --output --home -q --quiet -h --help" ;;
        "stat") words="" flags="--by -w --window -o --output --home -q --quiet -h --help" ;;
        "tap") words="" flags="--from --to --method --path --status --header --slow --max-rate --hops -n --lines --for -o --output --home -q --quiet -h --help" ;;
        "top") words="" flags="--from --to --method --path --status --header --slow --max-rate --sort --every --for -o --output --home -q --quiet -h --help" ;;
        "edges") words="" flags="-w --window -o --output --home -q --quiet -h --help" ;;
        "logs") words="" flags="-f --follow -n --lines --grep --status -o --output --home -q --quiet -h --help" ;;
        "metrics") words="show dashboard alerts scrape" flags="-h --help" ;;
        "metrics show") words="" flags="-o --output --home -q --quiet -h --help" ;;
        "metrics dashboard") words="" flags="--home -q --quiet -h --help" ;;
        "metrics alerts") words="" flags="--home -q --quiet -h --help" ;;
        "metrics scrape") words="" flags="--home -q --quiet -h --help" ;;
        "doctor") words="" flags="-c --config -g --group --bundle -o --output --home -q --quiet -h --help" ;;
        "completions") words="bash zsh fish" flags="--home -q --quiet -h --help" ;;
    esac
    case "$current" in
        -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
        *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    esac
    case "$at" in
        "init"|"validate"|"certs verify") [[ $current == -* ]] || COMPREPLY=($(compgen -f -- "$current")) ;;
        "up") [[ $current == -* ]] || _meshctl_live services ;;
        "sidecar drain") [[ $current == -* ]] || _meshctl_live sidecars ;;
        "services show") [[ $current == -* ]] || _meshctl_live services ;;
        "api callers") [[ $current == -* ]] || _meshctl_live apis,api_versions ;;
        "limits reset") [[ $current == -* ]] || _meshctl_live routes ;;
        "traffic split") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic shift") [[ $current == -* ]] || _meshctl_live services,shares ;;
        "traffic promote") [[ $current == -* ]] || _meshctl_live services,versions ;;
        "traffic rollback") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic reset") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic history") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic rollout") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic pause") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic resume") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic abort") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic mirror") [[ $current == -* ]] || _meshctl_live services ;;
        "traffic fault") [[ $current == -* ]] || _meshctl_live services ;;
        "keys rotate") [[ $current == -* ]] || _meshctl_live keys ;;
        "keys revoke") [[ $current == -* ]] || _meshctl_live keys ;;
        "certs show") [[ $current == -* ]] || _meshctl_live identities ;;
        "certs rotate") [[ $current == -* ]] || _meshctl_live services ;;
        "certs revoke") [[ $current == -* ]] || _meshctl_live identities ;;
        "certs mtls") [[ $current == -* ]] || _meshctl_live services ;;
        "config rollback") [[ $current == -* ]] || _meshctl_live revisions ;;
        "config export") [[ $current == -* ]] || _meshctl_live revisions ;;
        "stat") [[ $current == -* ]] || _meshctl_live services ;;
        "tap") [[ $current == -* ]] || _meshctl_live services ;;
        "top") [[ $current == -* ]] || _meshctl_live services ;;
        "edges") [[ $current == -* ]] || _meshctl_live services ;;
        "logs") [[ $current == -* ]] || _meshctl_live sources ;;
    esac
}
complete -o filenames -F _meshctl meshctl
