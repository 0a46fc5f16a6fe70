#!/bin/sh
# install.sh - a program built against an installed copy, through pkg-config where it is there.
set -e
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
make install DESTDIR="$at" PREFIX=/usr LIBDIR=/usr/lib/any > /dev/null
for file in usr/bin/linnet usr/include/linnet.h usr/include/linnet_text.h usr/lib/any/liblinnet.a usr/lib/any/liblinnet.so.0 usr/lib/any/pkgconfig/linnet.pc; do
    [ -e "$at/$file" ] || { echo "FAILED: $file is not installed"; exit 1; }
done
cat > "$at/use.c" << 'END'
#include <linnet.h>
#include <stdio.h>
int main(void) { puts(linnet_version()); return linnet_op_count() == 0; }
END
flags="-I$at/usr/include -L$at/usr/lib/any -llinnet -lm -pthread"
if command -v pkg-config > /dev/null; then
    flags=$(PKG_CONFIG_PATH=$at/usr/lib/any/pkgconfig PKG_CONFIG_SYSROOT_DIR=$at pkg-config --cflags --libs linnet)
fi
${CC:-cc} "$at/use.c" -o "$at/use" $flags
LD_LIBRARY_PATH=$at/usr/lib/any "$at/use"
${CC:-cc} -static "$at/use.c" -o "$at/use_static" -I"$at/usr/include" "$at/usr/lib/any/liblinnet.a" -lm -pthread && "$at/use_static"
echo "3 passed, 0 failed"
