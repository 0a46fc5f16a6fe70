#!/bin/sh
# test.sh - what `make test` runs; needs the build and a C compiler. Each part counts its checks;
# the last line is `N passed, N failed, N skipped`.
build=${BUILD:-build}
cc=${CC:-cc}
passed=0 failed=0 skipped=0

# count COMMAND...: runs it, shows what is not routine, adds up its last line.
count() {
    echo "== $*" | cut -c 1-100
    out=$("$@" 2>&1)
    code=$?
    last=$(printf '%s\n' "$out" | tail -n 1)
    p=$(printf '%s\n' "$last" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1/p')
    f=$(printf '%s\n' "$last" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\2/p')
    s=$(printf '%s\n' "$last" | sed -n 's/.* \([0-9]*\) skipped.*/\1/p')
    printf '%s\n' "$out" | grep -E 'FAILED|rror|skipped' | head -n 40
    printf '%s\n' "$last"
    if [ -z "$p" ]; then # a program without a count is one check
        p=1 f=0
        [ "$code" -eq 0 ] || p=0
    fi
    if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "FAILED: $1 ended with code $code"
        f=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
}

# expect TEXT COMMAND...: the command succeeds and prints nothing.
expect() {
    what=$1
    shift
    if out=$("$@" 2>&1) && [ -z "$out" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        printf '%s\n' "$out" | head -n 20
    fi
}

count "$build/check"
count "$build/ulp" --step 4099
count "$build/tests"
for file in tests/recurrent/*.lnt; do # small layers with what PyTorch made of them
    count "$build/linnet" check "$file"
done
count "$build/oom" examples/mnist/mnist.lnt
count "$build/extremes" --ops 200
count "$build/damage" --step 97 --run examples/mnist/mnist.lnt

count "$build/examples/custom_op"

echo "== header, symbols, layers, one file"
for header in linnet linnet_text; do
    expect "$header.h as C99" "$cc" -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c include/$header.h
    if command -v c++ > /dev/null; then
        expect "$header.h as C++17" c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ include/$header.h
    else
        skipped=$((skipped + 1)) && echo "skipped: no C++ compiler"
    fi
done
expect "layers" sh tests/layering.sh
expect "symbols" sh tests/symbols.sh "$build"
expect "one file, no warning" "$cc" -O2 -Wall -Wextra -I"$build" -c "$build/linnet.c" -o "$build/linnet_one.o"
expect "tests on one file" "$cc" -std=c11 -D_GNU_SOURCE -Iinclude -I"$build" -Itests -o "$build/tests_one" \
    tests/run.c tests/test.c $(ls tests/api/*.c tests/op/*.c tests/text/*.c 2> /dev/null) "$build/linnet_one.o" -lm -pthread
[ -x "$build/tests_one" ] && count "$build/tests_one"

count sh tests/examples.sh
shared=${LINNET_SHARED:-../shared}
if [ -d "$shared/conformance/onnx" ]; then
    count "$build/linnet" verify "$shared"/conformance/onnx/*/*
    count "$build/linnet" verify "$shared"/models/* --atol 1e-4 --quant-steps 1
else
    skipped=$((skipped + 1))
    echo "skipped: ONNX conformance cases and models are not at $shared"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
