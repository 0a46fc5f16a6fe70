/*
 * file.c - the only place that opens files: whole models in, whole models out.
 *
 * A model's file is mapped where the system can do that, so that its pages are read when they
 * are wanted, belong to the system, and can be given back.
 */
#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE /* fileno, mmap */
#endif
#include "api.h"

#ifdef LN_NO_STDIO

linnet_status ln_file_open(const char *path, const linnet_allocator *alloc, uint64_t limit, bool copy, ln_file *out,
                           linnet_error *err)
{
    LN_UNUSED(alloc);
    LN_UNUSED(limit);
    LN_UNUSED(copy);
    LN_UNUSED(out);
    return ln_fail(err, LINNET_ERR_UNSUPPORTED, "%s: this build opens no files", path);
}

void ln_file_close(const ln_file *f, const linnet_allocator *alloc)
{
    ln_free(alloc, f->data, f->size);
}

linnet_status ln_file_write(const linnet_model *m, const char *path, linnet_error *err)
{
    LN_UNUSED(m);
    return ln_fail(err, LINNET_ERR_UNSUPPORTED, "%s: this build writes no files", path);
}

#else

#include <limits.h>
#include <stdio.h>

/* The size of an open file, which is at its start again; negative: unknown. */
static long file_size(FILE *f)
{
    if (fseek(f, 0, SEEK_END) != 0)
        return -1;
    const long size = ftell(f);
    return fseek(f, 0, SEEK_SET) == 0 ? size : -1;
}

#if !defined(LN_NO_MMAP) && (defined(__linux__) || defined(__APPLE__))
#  include <sys/mman.h>

/* A read-only view of the file; NULL: it has to be read. */
static void *file_map(FILE *f, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fileno(f), 0);

    return p == MAP_FAILED ? NULL : p;
}

static void file_unmap(void *p, size_t size) { munmap(p, size); }
#else
static void *file_map(FILE *f, size_t size)
{
    LN_UNUSED(f);
    LN_UNUSED(size);
    return NULL;
}

static void file_unmap(void *p, size_t size)
{
    LN_UNUSED(p);
    LN_UNUSED(size);
}
#endif

linnet_status ln_file_open(const char *path, const linnet_allocator *alloc, uint64_t limit, bool copy, ln_file *out,
                           linnet_error *err)
{
    linnet_status st = LINNET_OK;

    memset(out, 0, sizeof *out);
    FILE *f = fopen(path, "rb");
    if (!f)
        return ln_fail(err, LINNET_ERR_IO, "%s cannot be opened", path);
    setvbuf(f, NULL, _IONBF, 0); /* one read of the whole file: no copy through a buffer */
    const long bytes = file_size(f);
    if (bytes <= 0 || bytes == LONG_MAX)
        st = ln_fail(err, LINNET_ERR_IO, "%s is empty or not a file", path);
    else if ((unsigned long)bytes > limit)
        st = ln_fail(err, LINNET_ERR_LIMIT, "%s has %lld bytes, the limit is %llu", path, (long long)bytes,
                     (unsigned long long)limit);
    else if (!copy && (out->data = file_map(f, (size_t)bytes)) != NULL)
        out->mapped = true;
    else if (!(out->data = ln_alloc(alloc, (size_t)bytes)))
        st = ln_fail(err, LINNET_ERR_MEMORY, "no memory for the %lld bytes of %s", (long long)bytes, path);
    else if (fread(out->data, 1, (size_t)bytes, f) != (size_t)bytes)
        st = ln_fail(err, LINNET_ERR_IO, "%s cannot be read", path);
    out->size = bytes > 0 ? (size_t)bytes : 0;
    fclose(f);
    if (st) {
        ln_file_close(out, alloc);
        memset(out, 0, sizeof *out);
    }
    return st;
}

void ln_file_close(const ln_file *f, const linnet_allocator *alloc)
{
    if (f->mapped)
        file_unmap(f->data, f->size);
    else
        ln_free(alloc, f->data, f->size);
}

static linnet_status file_some(void *user, const void *data, size_t size)
{
    return fwrite(data, 1, size, user) == size ? LINNET_OK : LINNET_ERR_IO;
}

linnet_status ln_file_write(const linnet_model *m, const char *path, linnet_error *err)
{
    char part[4096];

    if (ln_print(part, sizeof part, "%s.part", path) != strlen(path) + 5)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "the path is too long");
    FILE *f = fopen(part, "wb");
    if (!f)
        return ln_fail(err, LINNET_ERR_IO, "%s cannot be made", part);
    linnet_status st = linnet_model_write(m, file_some, f, err);
    if (fclose(f) != 0 && !st)
        st = ln_fail(err, LINNET_ERR_IO, "%s cannot be written", part);
    if (!st && rename(part, path) != 0)
        st = ln_fail(err, LINNET_ERR_IO, "%s cannot be put in place", path);
    if (st)
        remove(part);
    return st;
}

#endif
