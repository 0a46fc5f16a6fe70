#!/bin/sh
# layering.sh - which folder may include which; prints every include that breaks the order.
allowed() { # folder -> pattern of folders that it may include besides its own
    case $1 in
        base) echo 'none' ;;
        cpu) echo 'base|kernel' ;; # kernel.h alone: the names of the levels
        kernel) echo 'base|cpu' ;;
        tensor) echo 'base' ;;
        op) echo 'tensor|kernel|base' ;;
        graph) echo 'op|tensor|base' ;;
        plan) echo 'graph|op|kernel|tensor|base' ;;
        format) echo 'graph|op|tensor|base' ;;
        api) echo 'plan|format|graph|op|kernel|tensor|base' ;;
        text) echo 'api|base' ;;
        cli) echo 'none' ;;
    esac
}
bad=0
for file in src/*/*.c src/*/*.h src/*/*.inc; do
    own=$(basename "$(dirname "$file")")
    for to in $(sed -n 's/^#[ ]*include "\.\.\/\([a-z]*\)\/.*/\1/p' "$file"); do
        if ! echo "$to" | grep -Eq "^($(allowed "$own"))\$"; then
            echo "$file includes $to, which $own may not use"
            bad=1
        fi
    done
done
exit $bad
