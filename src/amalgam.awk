# amalgam.awk - joins the library's sources into one C file.
#
#   awk -v out=build -f src/amalgam.awk src/base/status.c ... > linnet.c
#
# Local includes are put in place: headers with a guard once, lists and kernel templates wherever they
# are asked for. A name that several files have for themselves (infer, run, state, ...) gets the
# file's name in front, outside strings, comments and member names.

function folder(path) { sub(/[^\/]*$/, "", path); return path }

function resolve(from, name,    path) {
    if (name == "op_list.h") return out "/op_list.h"
    path = folder(from) name
    while (match(path, /[^\/]+\/\.\.\//)) path = substr(path, 1, RSTART - 1) substr(path, RSTART + RLENGTH)
    return path
}

function guarded(path,    line, found) {
    if (path in is_guarded) return is_guarded[path]
    while ((getline line < path) > 0) if (line ~ /^#ifndef LN_[A-Z0-9_]*_H$/) found = 1
    close(path)
    return is_guarded[path] = found
}

# Names that a file declares for itself at file scope, into declared[file, name] and times[name].
function declare(path, name) {
    if (name != "" && !((path, name) in declared)) { declared[path, name] = 1; times[name]++ }
}

function collect(path,    line, name) {
    while ((getline line < path) > 0) {
        if (line ~ /^typedef struct [a-z_0-9]+ \{/ || line ~ /^struct [a-z_0-9]+ \{/) {
            name = line; sub(/^(typedef )?struct /, "", name); sub(/ .*/, "", name); declare(path, name)
        }
        if (line ~ /^\} [a-z_0-9]+;/ || line ~ /^typedef .*\} [a-z_0-9]+;/) {
            name = line; sub(/^.*\} /, "", name); sub(/;.*/, "", name); declare(path, name)
        } else if (line ~ /^typedef .*[ *][a-z_0-9]+;/) {
            name = line; sub(/;.*/, "", name); sub(/^.*[ *]/, "", name); declare(path, name)
        }
        if (line ~ /^static / || line ~ /^const /) {
            name = line
            sub(/ = .*/, "", name); sub(/;.*/, "", name)
            if (name ~ /\(/) sub(/\(.*/, "", name); else sub(/\[.*/, "", name)
            sub(/^.*[ *]/, "", name)
            if (line ~ /^static /) declare(path, name)
        }
    }
    close(path)
}

# One line with the private names prefixed. in_comment lasts from line to line.
function renamed(line, prefix, path,    result, c, two, i, n, word, before, body) {
    result = ""; n = length(line); i = 1; before = ""
    if (line ~ /^(typedef )?struct/) in_struct = 1
    while (i <= n) {
        c = substr(line, i, 1); two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; result = result two; i += 2 } else { result = result c; i++ }
            continue
        }
        if (two == "/*") { in_comment = 1; result = result two; i += 2; continue }
        if (c == "\"" || c == "'") {
            word = c; i++
            while (i <= n && substr(line, i, 1) != c) {
                if (substr(line, i, 1) == "\\") { word = word substr(line, i, 1); i++ }
                word = word substr(line, i, 1); i++
            }
            result = result word c; i++; before = c
            continue
        }
        if (c ~ /[A-Za-z_]/) {
            match(substr(line, i), /^[A-Za-z0-9_]+/)
            word = substr(line, i, RLENGTH); i += RLENGTH
            if (((path, word) in declared) && times[word] > 1 && before != "." && before != ">" &&
                !(in_struct && before != "}" && substr(line, i) ~ /^[;,\[)]/)) word = prefix word
            result = result word; before = "a"
            continue
        }
        result = result c; if (c != " ") before = c; else if (before == ">" || before == ".") before = " "
        i++
    }
    if (line ~ /^\}/ || line ~ /^typedef.*;$/) in_struct = 0
    return result
}

function put(path, prefix,    line, name, target) {
    while ((getline line < path) > 0) {
        if (line ~ /^[ ]*#[ ]*include "/) {
            name = line; sub(/^[^"]*"/, "", name); sub(/".*$/, "", name)
            if (name ~ /^linnet(_text)?\.h$/) { if (!seen[name]++) print "#include \"" name "\""; continue }
            target = resolve(path, name)
            if (guarded(target) && seen[target]++) continue
            put(target, "")
            continue
        }
        print prefix == "" ? line : renamed(line, prefix, path)
    }
    close(path)
}

BEGIN {
    for (f = 1; f < ARGC; f++) collect(ARGV[f])
    print "/* linnet in one file; made by `make amalgam`. See linnet.h for what it does. */"
    print "#ifndef LINNET_STATIC\n#define LINNET_STATIC\n#endif\n#define LINNET_BUILD"
    print "#if defined(__GNUC__) && !defined(__clang__)\n#pragma GCC optimize(\"fp-contract=off\")\n#elif defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n#pragma clang diagnostic ignored \"-Wunused-function\"\n#endif"
    for (f = 1; f < ARGC; f++) {
        prefix = ARGV[f]
        sub(/^src\//, "", prefix); sub(/\.c$/, "_c_", prefix); gsub(/[^a-z0-9]/, "_", prefix)
        in_comment = in_struct = 0
        put(ARGV[f], prefix)
    }
}
