#!/bin/sh
# start.sh TOOL MODEL...: what a fresh process pays from opening a model to the end of its first run, beyond one
# steady run, and the most memory it has (rest: beyond packed weights, arena and input), in rows of the best of RUNS
# processes. The files are in the system's cache after the first process. From ONNX, from .lnt, and from .lnt packed
# for this processor's level.
tool=$1
shift
runs=${RUNS:-7}
level=$($tool bench --seconds 0 --json "$1" ${OPTIONS} | sed -n 's/.*"isa": "\([a-z0-9]*\)".*/\1/p')
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

row() { # label, file
    for i in $(seq "$runs"); do "$tool" bench --start --json "$2" ${OPTIONS} || exit 1; done |
        sed 's/[{}",]//g' | awk -v label="$1" '
            { for (i = 1; i < NF; i += 2) v[$i] = $(i + 1) }
            NR == 1 || v["start_ms:"] < best { best = v["start_ms:"]; for (k in v) b[k] = v[k] }
            END { printf "%-34s %9.2f %8.2f %8.2f %8.2f %8.2f %8.1f %8.1f %8.1f %8.1f %8.1f\n", label, best, b["open_ms:"],
                         b["plan_ms:"], b["first_ms:"], b["steady_ms:"], b["peak_mb:"], b["weights_mb:"], b["packed_mb:"],
                         b["arena_mb:"], b["rest_mb:"] }'
}

printf '%-34s %9s %8s %8s %8s %8s %8s %8s %8s %8s %8s\n' model 'start ms' open plan first steady 'peak MB' weights packed arena rest
for model in "$@"; do
    name=$(basename "$model")
    stem=${name%.*}
    row "$name" "$model"
    [ "${name##*.}" = lnt ] || { "$tool" convert "$model" "$dir/$stem.lnt" && row "$stem.lnt" "$dir/$stem.lnt"; }
    "$tool" convert --pack "$level" "$model" "$dir/$stem.packed.lnt" &&
        row "$stem.lnt, packed for $level" "$dir/$stem.packed.lnt"
    rm -f "$dir"/*.lnt
done
