#!/bin/sh
# sanitize.sh - runs the sanitized programs; the last line is `N passed, N failed`.
build=${BUILD:-build/sanitize}
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1:exitcode=99
passed=0 failed=0

count() {
    echo "== $*" | cut -c 1-100
    out=$("$@" 2>&1)
    code=$?
    last=$(printf '%s\n' "$out" | tail -n 1)
    p=$(printf '%s\n' "$last" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\1/p')
    f=$(printf '%s\n' "$last" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed.*/\2/p')
    printf '%s\n' "$out" | tail -n 15
    [ -z "$p" ] && p=0 f=1
    [ "$code" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    passed=$((passed + p)) failed=$((failed + f))
}

count "$build/tests"
count "$build/check"
count "$build/oom" examples/mnist/mnist.lnt
count "$build/damage" --step ${DAMAGE_STEP:-61} --run examples/mnist/mnist.lnt
count "$build/extremes" --ops ${EXTREMES_OPS:-400}
count sh tests/examples.sh
shared=${LINNET_SHARED:-../shared}
if [ -d "$shared/conformance/onnx" ]; then
    count "$build/linnet" verify "$shared"/conformance/onnx/*/*
    count "$build/linnet" verify "$shared"/conformance/onnx/*/* --passes none
    count "$build/extremes" --step ${EXTREMES_STEP:-23} "$shared"/conformance/onnx/*/*
    count "$build/damage" --step ${DAMAGE_STEP:-17} --run "$shared/models/mnist-8/model.onnx"
else
    echo "skipped: ONNX conformance cases are not at $shared/conformance"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
