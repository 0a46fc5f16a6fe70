/*
 * packed.c - .lnt files with weights packed for kernels: used where they fit, and nothing but numbers.
 */
#include "../../src/plan/plan.h"
#include "test.h"

enum { CHANNELS = 32, SIDE = 12, HEAD = 32, LINE = 32 };

typedef struct bytes {
    uint8_t *data;
    size_t   size;
} bytes;

static linnet_status keep(void *user, const void *data, size_t size)
{
    bytes *b = user;
    uint8_t *more = realloc(b->data, b->size + size);

    if (!more)
        return LINNET_ERR_MEMORY;
    b->data = more;
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return LINNET_OK;
}

static void add_weight(linnet_model *m, const char *name, int32_t rank, const int64_t *dims)
{
    size_t n = 1;

    for (int32_t i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    float *w = malloc(n * sizeof *w);
    EXPECT(w != NULL);
    for (size_t i = 0; i < n && w; i++) /* the same on every machine */
        w[i] = (float)(int)((i * 7919 + 104729) % 2003) / 2003.0f - 0.5f;
    EXPECT_OK(linnet_model_add_weight(m, name, LINNET_F32, rank, dims, w, n * sizeof *w, &test_error));
    free(w);
}

/* 3x3 and strided convolution, a product; as .lnt, read again. */
static linnet_model *make_model(bytes *file)
{
    const linnet_conv2d plain = { .struct_size = sizeof plain, .layout = LINNET_CHANNELS_FIRST,
                                  .kernel_layout = LINNET_CHANNELS_FIRST, .padding = LINNET_PAD_SAME };
    linnet_conv2d strided = plain;
    linnet_model *m;

    strided.stride[0] = strided.stride[1] = 2;
    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, (int64_t[]){ 1, CHANNELS, SIDE, SIDE }, &test_error));
    add_weight(m, "b0", 1, (int64_t[]){ CHANNELS });
    add_weight(m, "w0", 4, (int64_t[]){ CHANNELS, CHANNELS, 3, 3 });
    add_weight(m, "w1", 4, (int64_t[]){ CHANNELS, CHANNELS, 3, 3 });
    add_weight(m, "w2", 2, (int64_t[]){ CHANNELS * SIDE * SIDE / 4, 40 });
    EXPECT_OK(linnet_layer_conv2d(m, "a", "x", "w0", "b0", &plain, &test_error));
    EXPECT_OK(linnet_layer_conv2d(m, "b", "a", "w1", NULL, &strided, &test_error));
    EXPECT_OK(linnet_layer_flatten(m, "c", "b", &test_error));
    EXPECT_OK(linnet_layer_dense(m, "y", "c", "w2", NULL, 0, LINNET_ACT_NONE, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    EXPECT_STATUS(linnet_model_pack(m, NULL, &test_error), LINNET_ERR_ARGUMENT); /* not of a file */
    *file = (bytes){ NULL, 0 };
    EXPECT_OK(linnet_model_write(m, keep, file, &test_error));
    linnet_model_free(m);
    EXPECT_OK(linnet_model_load(file->data, file->size, NULL, &m, &test_error));
    return m;
}

static bool run(const linnet_model *m, uint32_t isa, float y[40])
{
    static float x[CHANNELS * SIDE * SIDE];
    linnet_options opt;
    linnet_session *s;

    linnet_options_init(&opt);
    opt.isa_mask = isa | (isa - 1);
    for (size_t i = 0; i < CHANNELS * SIDE * SIDE; i++)
        x[i] = (float)(i % 17) / 17;
    if (linnet_session_create(m, &opt, &s, &test_error))
        return false;
    const bool good = linnet_session_set_input(s, 0, LINNET_F32, 4, (int64_t[]){ 1, CHANNELS, SIDE, SIDE }, x, sizeof x,
                                               &test_error) == LINNET_OK && linnet_session_run(s, &test_error) == LINNET_OK;
    if (good)
        memcpy(y, linnet_tensor_data(linnet_session_output(s, 0)), 40 * sizeof *y);
    linnet_session_free(s);
    return good;
}

static uint32_t line_kind(const bytes *b, size_t i) { return ln_le32(b->data + HEAD + i * LINE); }
static size_t line_at(const bytes *b, size_t i) { return (size_t)ln_le64(b->data + HEAD + i * LINE + 8); }
static size_t line_size(const bytes *b, size_t i) { return (size_t)ln_le64(b->data + HEAD + i * LINE + 16); }

/* The line of the section of that kind, which is there. */
static size_t line_of(const bytes *b, uint32_t kind)
{
    size_t i = 0;

    while (line_kind(b, i) != kind)
        i++;
    return i;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* Checksums that fit again. */
static void seal(bytes *b)
{
    const size_t n = ln_le32(b->data + 12);

    for (size_t i = 0; i < n; i++)
        put_u32(b->data + HEAD + i * LINE + 24, ln_crc32c(0, b->data + line_at(b, i), line_size(b, i)));
    put_u32(b->data + 24, 0);
    put_u32(b->data + 24, ln_crc32c(0, b->data, HEAD + n * LINE));
}

static void pack_level(linnet_model *m, uint32_t isa)
{
    linnet_options opt;

    linnet_options_init(&opt);
    opt.isa_mask = isa | (isa - 1);
    EXPECT_OK(linnet_model_pack(m, &opt, &test_error));
}

/* Packed for one level: that level uses it, the others do not look at it. */
void test_packed_weights_are_used(void)
{
    const uint32_t levels = linnet_isa_levels();
    bytes plain, packed = { NULL, 0 }, again = { NULL, 0 };
    linnet_model *m = make_model(&plain), *p;
    float want[40], other[40], got[40];

    pack_level(m, LINNET_ISA_SCALAR);
    EXPECT(run(m, LINNET_ISA_SCALAR, want) && run(m, levels, other));
    EXPECT_OK(linnet_model_write(m, keep, &packed, &test_error));
    linnet_model_free(m);
    const size_t lines = ln_le32(packed.data + 12), last = line_of(&packed, 13);
    EXPECT(last == lines - 2 && line_kind(&packed, lines - 3) == 12 && line_kind(&packed, lines - 1) == 14);
    EXPECT(packed.size > plain.size);

    EXPECT_OK(linnet_model_load(packed.data, packed.size, NULL, &p, &test_error));
    EXPECT(run(p, LINNET_ISA_SCALAR, got) && memcmp(got, want, sizeof got) == 0);
    EXPECT(run(p, levels, got) && memcmp(got, other, sizeof got) == 0);
    EXPECT_OK(linnet_model_write(p, keep, &again, &test_error));
    EXPECT(again.size == packed.size && memcmp(again.data, packed.data, again.size) == 0);
    linnet_model_free(p);

    memset(packed.data + line_at(&packed, last), 0x7f, line_size(&packed, last));
    EXPECT_STATUS(linnet_model_load(packed.data, packed.size, NULL, &p, &test_error), LINNET_ERR_FORMAT);
    memcpy(packed.data, again.data, again.size);
    put_u32(packed.data + line_at(&packed, last), 0x7fc00000); /* a NaN among the weights */
    seal(&packed);
    EXPECT_OK(linnet_model_load(packed.data, packed.size, NULL, &p, &test_error));
    EXPECT(run(p, LINNET_ISA_SCALAR, got) && memcmp(got, want, sizeof got) != 0);
    EXPECT(levels == LINNET_ISA_SCALAR || (run(p, levels, got) && memcmp(got, other, sizeof got) == 0));
    linnet_model_free(p);
    free(plain.data);
    free(packed.data);
    free(again.data);
}

/* Every byte of the records changed, under right checksums: refused, or harmless. */
void test_packed_records_damaged(void)
{
    bytes plain, packed = { NULL, 0 };
    linnet_model *m = make_model(&plain), *p;
    float got[40];

    pack_level(m, LINNET_ISA_SCALAR);
    EXPECT_OK(linnet_model_write(m, keep, &packed, &test_error));
    linnet_model_free(m);
    const size_t line = line_of(&packed, 12), at = line_at(&packed, line), size = line_size(&packed, line);
    EXPECT(size >= 2 * 32 && size % 32 == 0);
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit += 7) {
            packed.data[at + i] ^= (uint8_t)(1 << bit);
            seal(&packed);
            const linnet_status st = linnet_model_load(packed.data, packed.size, NULL, &p, &test_error);
            EXPECT(st == LINNET_OK || st == LINNET_ERR_FORMAT);
            EXPECT(st || i % 32 < 16 || (i % 32 >= 24 && i % 32 < 28)); /* sizes and zeros are checked */
            if (!st) {
                EXPECT(run(p, LINNET_ISA_SCALAR, got));
                linnet_model_free(p);
            }
            packed.data[at + i] ^= (uint8_t)(1 << bit);
        }
    free(plain.data);
    free(packed.data);
}

/* Where the elements of tensor i lie, all of them f32; their number in *count. */
static size_t tensor_at(const bytes *b, size_t i, size_t *count)
{
    size_t end = 0, start = 0;

    for (size_t k = 0; k <= i; k++) {
        const uint8_t *p = b->data + line_at(b, line_of(b, 9)) + 72 * k;
        *count = 1;
        for (uint32_t d = 0; d < ln_le32(p + 4); d++)
            *count *= (size_t)ln_le64(p + 8 + 8 * d);
        start = (end + 63) / 64 * 64;
        end = start + *count * sizeof(float);
    }
    return line_at(b, line_of(b, 11)) + start;
}

/* A byte of every tensor damaged: whoever would read it is told, and nobody else. */
void test_packed_tensors_damaged(void)
{
    const uint32_t levels = linnet_isa_levels();
    bytes plain, packed = { NULL, 0 }, out = { NULL, 0 };
    linnet_model *m = make_model(&plain), *p;
    float want[40], got[40];
    linnet_value_info info;
    size_t small = 0, large = 0;

    pack_level(m, LINNET_ISA_SCALAR);
    EXPECT(run(m, LINNET_ISA_SCALAR, want));
    EXPECT_OK(linnet_model_write(m, keep, &packed, &test_error));
    linnet_model_free(m);
    for (size_t i = 0, count; i < line_size(&packed, line_of(&packed, 14)) / 4; i++) {
        const size_t at = tensor_at(&packed, i, &count) + count * 2;
        const void *data;
        size_t size, told = 0;
        packed.data[at] ^= 0x10;
        seal(&packed); /* the checksum of the section is not what finds it */
        if (linnet_model_load(packed.data, packed.size, NULL, &p, &test_error) == LINNET_OK) {
            EXPECT(count * sizeof(float) >= 16384);
            EXPECT(run(p, LINNET_ISA_SCALAR, got) && memcmp(got, want, sizeof got) == 0);
            EXPECT(levels == LINNET_ISA_SCALAR || !run(p, levels, got));
            EXPECT_STATUS(linnet_model_write(p, keep, &out, &test_error), LINNET_ERR_FORMAT);
            EXPECT_STATUS(linnet_model_pack(p, NULL, &test_error), LINNET_ERR_FORMAT);
            for (size_t k = 0; k < linnet_model_weight_count(p); k++)
                told += linnet_model_weight(p, k, &info, &data, &size) == LINNET_ERR_FORMAT;
            EXPECT(told == 1);
            EXPECT(run(p, LINNET_ISA_SCALAR, got) && memcmp(got, want, sizeof got) == 0);
            linnet_model_free(p);
            large++;
        } else {
            EXPECT(count * sizeof(float) < 16384 && test_error.code == LINNET_ERR_FORMAT);
            small++;
        }
        packed.data[at] ^= 0x10;
    }
    EXPECT(large == 3 && small >= 1);
    free(plain.data);
    free(packed.data);
    free(out.data);
}

/*
 * What packing gave when LN_PACK_VERSION was set. Files keep it: another checksum under the same key means that the
 * version has to be raised, and these numbers taken anew ($PACKED_PRINT=1 prints them).
 */
static const struct { uint64_t key; uint32_t crc; } golden[] = {
    { 0x1515c30fb815efd4, 0x69479ae0 },
    { 0x172449919e4f9440, 0xe1cccfe9 },
    { 0x193e71ba75a97497, 0x798425d6 },
    { 0x358f605e1cdd572f, 0x798425d6 },
    { 0x294095f30105fc85, 0x9aad4988 },
    { 0xa290880fb47846ea, 0x9e29bfa4 },
    { 0xa7b157d5a5582ae3, 0x9aad4988 },
    { 0xf9354301b482606b, 0x0fc51b41 },
    { 0x14c4f938b8ae2cd1, 0x1f0bf67d },
    { 0x6ad38d15206bd351, 0x891d0722 },
    { 0xc5ef3009fb7a3182, 0x891d0722 },
    { 0xfc8c704cfdc01b4b, 0x78d6299a },
};

void test_packed_version(void)
{
    const uint32_t levels = linnet_isa_levels();
    bytes plain;
    linnet_model *m = make_model(&plain);
    size_t found = 0;

    for (uint32_t isa = 1; isa && isa <= levels; isa <<= 1)
        if (levels & isa)
            pack_level(m, isa);
    for (size_t i = 0; i < m->packs.count; i++) {
        const ln_pack *k = &m->packs.pack[i];
        const uint32_t crc = ln_crc32c(0, k->data, k->size);
        if (getenv("PACKED_PRINT"))
            printf("    { 0x%016llx, 0x%08x },\n", (unsigned long long)k->key, (unsigned)crc);
        for (size_t g = 0; g < sizeof golden / sizeof *golden; g++)
            if (golden[g].key == k->key) {
                EXPECT(golden[g].crc == crc);
                found++;
            }
    }
    EXPECT(found > 0);
    linnet_model_free(m);
    free(plain.data);
}
