#!/bin/sh
# symbols.sh BUILD - the shared library exports linnet_* alone, and nothing in it reaches abort, exit or stdio output.
build=$1
bad=0
for name in $(nm -D --defined-only "$build/liblinnet.so" | awk '{ print $3 }' | grep -v '^linnet_'); do
    echo "exported: $name"
    bad=1
done
for name in $(nm -u "$build/liblinnet.a" | awk '{ print $2 }' | sort -u |
              grep -E '^(abort|exit|_exit|__assert_fail|printf|fprintf|vprintf|vfprintf|sprintf|vsprintf|snprintf|vsnprintf|puts|putchar|fputs|perror|__printf_chk|__fprintf_chk|__sprintf_chk|__snprintf_chk|__stack_chk_fail|setjmp|longjmp|raise|signal)$'); do
    echo "reached: $name"
    bad=1
done
exit $bad
