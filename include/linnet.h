/*
 * linnet.h - the whole public interface of linnet, an embeddable neural-network
 * inference library. This header is the manual.
 *
 * The road of a model:
 *
 *     linnet_model   *m;                       a file, immutable, shared by threads
 *     linnet_session *s;                       one running copy of it: buffers, state
 *     linnet_model_open("net.onnx", NULL, &m, &err);
 *     linnet_session_create(m, NULL, &s, &err);
 *     linnet_session_set_input(s, 0, LINNET_F32, 4, dims, pixels, sizeof pixels, &err);
 *     linnet_session_run(s, &err);
 *     const linnet_tensor *y = linnet_session_output(s, 0);
 *
 * Rules that hold for every call:
 *  - A call that can fail returns a linnet_status, LINNET_OK (0) or negative. Where a
 *    call takes a linnet_error pointer it may be NULL; else it gets one sentence
 *    that names the layer, tensor, option or file offset. After a failure the object
 *    is as it was before the call, *out is NULL, and nothing stays allocated.
 *  - The library never aborts, exits, prints, recurses on input, or starts a thread
 *    that was not asked for; it has no global mutable state.
 *  - Any bytes may be given as a model and any numbers as input: the answer is a
 *    result or an error.
 *  - Strings are UTF-8, NUL-terminated, and those returned live as long as their
 *    parent object. NULL as an object is an error for calls that return a status,
 *    and allowed for every _free().
 *  - Threads: a model may be used by any number of threads once it is loaded; a session
 *    by one thread at a time. Different sessions are independent.
 *  - Enums travel as int32_t, sizes in bytes as size_t, shapes as int64_t; there are no
 *    unions, bit-fields or structs by value, so that any foreign-function interface
 *    can call everything here. Structs that the caller fills begin with struct_size
 *    and have an _init() call, or are said to be zeroed first.
 */
#ifndef LINNET_H
#define LINNET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(LINNET_STATIC) || !(defined(_WIN32) || defined(__GNUC__))
#  define LINNET_API
#elif defined(_WIN32)
#  ifdef LINNET_BUILD
#    define LINNET_API __declspec(dllexport)
#  else
#    define LINNET_API __declspec(dllimport)
#  endif
#else
#  define LINNET_API __attribute__((visibility("default")))
#endif

#define LINNET_VERSION_MAJOR 0
#define LINNET_VERSION_MINOR 1
#define LINNET_VERSION_PATCH 0

/* "0.1.0" of the library that is linked, which may be newer than this header. */
LINNET_API const char *linnet_version(void);

/* ---- status and errors ---------------------------------------------------- */

/* One list feeds the enum and linnet_status_string(). Values never change meaning. */
#define LINNET_STATUS_LIST(X)                                                       \
    X(OK,               0, "ok")                                                    \
    X(ERR_ARGUMENT,    -1, "invalid argument")                                      \
    X(ERR_MEMORY,      -2, "out of memory")                                         \
    X(ERR_FORMAT,      -3, "malformed model data")                                  \
    X(ERR_UNSUPPORTED, -4, "operator, type or feature not supported")               \
    X(ERR_SHAPE,       -5, "shapes or types do not fit together")                   \
    X(ERR_LIMIT,       -6, "a limit of linnet_limits would be exceeded")            \
    X(ERR_IO,          -7, "a file could not be read or written")                   \
    X(ERR_DATA,        -8, "input data out of range")                               \
    X(ERR_EXTERNAL,    -9, "external data needed, and no callback given")           \
    X(ERR_CHECK,      -10, "a test vector of the model was not met")

typedef int32_t linnet_status;
enum {
#define LINNET_STATUS_ENUM(name, value, text) LINNET_##name = value,
    LINNET_STATUS_LIST(LINNET_STATUS_ENUM)
#undef LINNET_STATUS_ENUM
    LINNET_STATUS_LAST_ = 1
};

/* The text of a status; "unknown status" for any other number. Never NULL. */
LINNET_API const char *linnet_status_string(linnet_status status);

/* Where a failing call leaves a sentence for a human. Written only on failure. */
typedef struct linnet_error {
    linnet_status code;
    char          message[508];
} linnet_error;

/* ---- element types --------------------------------------------------------- */

/* The numbers are those of ONNX TensorProto.DataType. */
enum {
    LINNET_NO_TYPE = 0,
    LINNET_F32 = 1, LINNET_U8 = 2, LINNET_I8 = 3, LINNET_U16 = 4, LINNET_I16 = 5,
    LINNET_I32 = 6, LINNET_I64 = 7, LINNET_STRING = 8, LINNET_BOOL = 9, LINNET_F16 = 10,
    LINNET_F64 = 11, LINNET_U32 = 12, LINNET_U64 = 13, LINNET_C64 = 14, LINNET_C128 = 15,
    LINNET_BF16 = 16, LINNET_F8E4M3FN = 17, LINNET_F8E4M3FNUZ = 18, LINNET_F8E5M2 = 19,
    LINNET_F8E5M2FNUZ = 20, LINNET_U4 = 21, LINNET_I4 = 22, LINNET_F4E2M1 = 23,
    LINNET_F8E8M0 = 24, LINNET_U2 = 25, LINNET_I2 = 26
};

/* "f32", "i64", ...; NULL for a number that is no type. */
LINNET_API const char *linnet_dtype_name(int32_t dtype);
/* Bits of one element: 32 for f32. 4- and 2-bit types are packed, low bits first. 0: no such type. */
LINNET_API int32_t linnet_dtype_bits(int32_t dtype);

#define LINNET_MAX_RANK 8

/* ---- memory, limits, options ------------------------------------------------- */

/*
 * All memory of the library goes through one of these. alloc() returns `size` bytes
 * at a multiple of `align` (a power of two, at most 64) or NULL; free() is told the
 * size that was asked for. Both may be called from the threads that call the library.
 */
typedef struct linnet_allocator {
    void *user;
    void *(*alloc)(void *user, size_t size, size_t align);
    void  (*free)(void *user, void *ptr, size_t size);
} linnet_allocator;

/* What a model may ask for. Every 0 stands for the default, given in brackets. */
typedef struct linnet_limits {
    uint32_t struct_size;
    uint32_t rank;       /* dimensions of a tensor [8, which is the most] */
    uint64_t file_size;  /* bytes of a model file [16 GiB] */
    uint64_t tensors;    /* values in a model [1 << 20] */
    uint64_t nodes;      /* layers in a model [1 << 20] */
    uint64_t elements;   /* elements of one tensor [1 << 33] */
    uint64_t memory;     /* bytes that one model, or one session, may take [64 GiB] */
    uint64_t iterations; /* of all loops in one run, inner ones counted each time [1 << 24] */
} linnet_limits;

/* Instruction-set levels, as bits; each stands for itself and those below it. */
enum {
    LINNET_ISA_SCALAR = 1, LINNET_ISA_SSE4 = 2, LINNET_ISA_AVX2 = 4, LINNET_ISA_AVX512 = 8,
    LINNET_ISA_NEON = 256
};
/* The levels that this build and this processor both have. */
LINNET_API uint32_t linnet_isa_levels(void);
/* "avx2" for LINNET_ISA_AVX2; for a mask, its highest level. Never NULL. */
LINNET_API const char *linnet_isa_name(uint32_t isa);

/* Graph rewrites of a session, as bits. Results agree with and without them up to rounding. */
enum {
    LINNET_PASS_FOLD   = 1,  /* constants and shape arithmetic computed once */
    LINNET_PASS_FUSE   = 2,  /* batch norm, bias, activation, residual into matrix layers */
    LINNET_PASS_LAYOUT = 4   /* channels last inside */
};

/* Which rounding freedom the kernels have. */
enum {
    LINNET_PRECISION_DEFAULT = 0, /* any algorithm with a tested error bound (Winograd among them) */
    LINNET_PRECISION_EXACT   = 1, /* direct sums only */
    LINNET_PRECISION_HALF    = 2  /* as DEFAULT, and constant recurrent weights (R of LSTM and GRU, where the batch
                                     is one) are stored as bf16, which halves what a step reads; sums stay
                                     f32. Weights change by at most 2^-9 of themselves, outputs in the third digit */
};

typedef struct linnet_pool    linnet_pool;
typedef struct linnet_model   linnet_model;
typedef struct linnet_layer   linnet_layer;
typedef struct linnet_session linnet_session;
typedef struct linnet_tensor  linnet_tensor;

/*
 * Brings `length` bytes at `offset` of the external file `location`, a name found in the
 * model and not to be trusted, into `out`. Returns LINNET_OK or a negative status.
 */
typedef linnet_status (*linnet_external_fn)(void *user, const char *location, uint64_t offset,
                                            uint64_t length, void *out);

/* Output `output` of a run becomes input `input` of the next: see linnet_session_tie(). */
typedef struct linnet_tie {
    size_t output, input;
} linnet_tie;

/* Fill with linnet_options_init(), then change what you need. NULL in a call: the defaults. */
typedef struct linnet_options {
    uint32_t                struct_size;
    uint32_t                isa_mask;   /* levels that may be used [all] */
    const linnet_allocator *allocator;  /* [malloc and free]; copied */
    const linnet_limits    *limits;     /* [the defaults]; copied */
    linnet_pool            *pool;       /* of a session: NULL runs on the calling thread; borrowed */
    linnet_external_fn      external;   /* of a load: NULL refuses external tensors */
    void                   *external_user;
    uint32_t                passes;     /* of a session: LINNET_PASS_* [all] */
    int32_t                 precision;  /* of a session: LINNET_PRECISION_* */
    uint32_t                copy;       /* of linnet_model_open() and _load(): 1 copies the bytes */
    uint32_t                profile;    /* of a session: 1 measures every step */
    const linnet_tie       *ties;       /* of a session: made with it; the way to tie in a placed one */
    size_t                  tie_count;
    const struct linnet_custom_op *ops; /* of a model: operators of the caller's own; copied */
    size_t                  op_count;
} linnet_options;

/*
 * The defaults into the first `size` bytes of *opt, which is what the caller's header knew:
 * a newer library writes no further. From C, linnet_options_init() passes the size along.
 */
LINNET_API void linnet_options_defaults(linnet_options *opt, size_t size); /* NULL does nothing */
static inline void linnet_options_init(linnet_options *opt)
{
    linnet_options_defaults(opt, sizeof *opt);
}

/* ---- tensors ------------------------------------------------------------------ */

/*
 * A tensor is a type, a shape of at most LINNET_MAX_RANK dimensions, and elements in
 * row-major order without gaps. Rank 0 is one element; a dimension of 0 is legal.
 */

/* A tensor with zeroed memory of its own. allocator NULL: malloc and free. */
LINNET_API linnet_status linnet_tensor_create(int32_t dtype, int32_t rank, const int64_t *dims,
                                              const linnet_allocator *allocator,
                                              linnet_tensor **out, linnet_error *err);
/* A tensor over the caller's memory, which must outlive it and hold exactly the bytes. */
LINNET_API linnet_status linnet_tensor_view(int32_t dtype, int32_t rank, const int64_t *dims,
                                            void *data, size_t size,
                                            linnet_tensor **out, linnet_error *err);
LINNET_API void    linnet_tensor_free(linnet_tensor *t);
LINNET_API int32_t linnet_tensor_is_view(const linnet_tensor *t);
LINNET_API int32_t linnet_tensor_dtype(const linnet_tensor *t);
LINNET_API int32_t linnet_tensor_rank(const linnet_tensor *t);
LINNET_API int64_t linnet_tensor_dim(const linnet_tensor *t, int32_t axis); /* axis outside: 0 */
LINNET_API size_t  linnet_tensor_count(const linnet_tensor *t); /* elements */
LINNET_API size_t  linnet_tensor_size(const linnet_tensor *t);  /* bytes */
LINNET_API void   *linnet_tensor_data(const linnet_tensor *t);  /* may be NULL where size is 0 */
/* Element i converted to double, for any number type; i outside, or a string: 0. */
LINNET_API double  linnet_tensor_get(const linnet_tensor *t, size_t i);
/* Element i of a string tensor; NULL for any other. */
LINNET_API const char *linnet_tensor_string(const linnet_tensor *t, size_t i);

/* ---- models: opening ------------------------------------------------------------- */

/*
 * Read a model; the format (.lnt or ONNX) is told from the bytes. Everything is checked
 * here: a model that loads has only operators that this library has, with legal
 * attributes. Free with linnet_model_free().
 *
 * Where the system can, the file is mapped: weights are used where they lie, those that kernels want in
 * another form are read once, and no copy of the file is in memory. Replace such a file by renaming
 * another one to its name, as linnet_model_save() does. If somebody writes to it while the model lives,
 * results are wrong but nothing else is; if somebody cuts it shorter, the system may end the process,
 * as with any mapped file. opt->copy = 1 reads the file instead, for files that others may write to.
 */
LINNET_API linnet_status linnet_model_open(const char *path, const linnet_options *opt,
                                           linnet_model **out, linnet_error *err);

/*
 * From memory. `data` is borrowed unless opt->copy is 1: keep it alive and unchanged until
 * the model is freed (so weights can stay in flash or in a file mapping).
 */
LINNET_API linnet_status linnet_model_load(const void *data, size_t size, const linnet_options *opt,
                                           linnet_model **out, linnet_error *err);

/*
 * Through a callback that fills at most `size` bytes at `out` and returns how many it
 * wrote, 0 at the end, or a negative number for an error.
 */
typedef int64_t (*linnet_read_fn)(void *user, void *out, size_t size);
LINNET_API linnet_status linnet_model_read(linnet_read_fn read, void *user, const linnet_options *opt,
                                           linnet_model **out, linnet_error *err);

/* Sessions keep what they need of a model alive: it may be freed before them. */
LINNET_API void linnet_model_free(linnet_model *m);

/* ---- models: inspection --------------------------------------------------------------- */

/* A named value: an input, an output, a weight. Strings belong to the model. */
typedef struct linnet_value_info {
    const char *name;
    int32_t     dtype;                   /* LINNET_NO_TYPE: not declared */
    int32_t     rank;                    /* -1: not declared */
    int64_t     dims[LINNET_MAX_RANK];   /* -1: open, decided by the input at run time */
    const char *symbol[LINNET_MAX_RANK]; /* name of an open dimension, or NULL */
    int32_t     kind;                    /* LINNET_KIND_*; all but tensors are rare */
} linnet_value_info;
enum { LINNET_KIND_TENSOR = 0, LINNET_KIND_SEQUENCE = 1, LINNET_KIND_OPTIONAL = 2 };

LINNET_API size_t linnet_model_input_count(const linnet_model *m);
LINNET_API size_t linnet_model_output_count(const linnet_model *m);
LINNET_API linnet_status linnet_model_input(const linnet_model *m, size_t i, linnet_value_info *out);
LINNET_API linnet_status linnet_model_output(const linnet_model *m, size_t i, linnet_value_info *out);
/* Index of the input or output of that name, or -1. */
LINNET_API int32_t linnet_model_find_input(const linnet_model *m, const char *name);
LINNET_API int32_t linnet_model_find_output(const linnet_model *m, const char *name);

/* "lnt", "onnx", or "code" for a model built by calls. */
LINNET_API const char *linnet_model_format(const linnet_model *m);
LINNET_API size_t linnet_model_weight_count(const linnet_model *m); /* constant tensors */
LINNET_API linnet_status linnet_model_weight(const linnet_model *m, size_t i, linnet_value_info *out,
                                             const void **data, size_t *size);
LINNET_API uint64_t linnet_model_weight_bytes(const linnet_model *m);

/* Metadata pairs (producer, labels, preprocessing, ...). get: NULL where there is none. */
LINNET_API size_t      linnet_model_meta_count(const linnet_model *m);
LINNET_API const char *linnet_model_meta_key(const linnet_model *m, size_t i);
LINNET_API const char *linnet_model_meta_value(const linnet_model *m, size_t i);
LINNET_API const char *linnet_model_meta(const linnet_model *m, const char *key);

/* Layers in the order in which they run. A layer belongs to its model. i outside: NULL. */
LINNET_API size_t linnet_model_layer_count(const linnet_model *m);
LINNET_API const linnet_layer *linnet_model_layer(const linnet_model *m, size_t i);
LINNET_API const char *linnet_layer_op(const linnet_layer *l);   /* "Conv" */
LINNET_API const char *linnet_layer_name(const linnet_layer *l); /* may be "" */
LINNET_API size_t      linnet_layer_input_count(const linnet_layer *l);
LINNET_API size_t      linnet_layer_output_count(const linnet_layer *l);
LINNET_API const char *linnet_layer_input(const linnet_layer *l, size_t i);  /* "" where absent */
LINNET_API const char *linnet_layer_output(const linnet_layer *l, size_t i);
LINNET_API size_t      linnet_layer_attr_count(const linnet_layer *l);
LINNET_API const char *linnet_layer_attr_name(const linnet_layer *l, size_t i);
/* The value of attribute i as text ("[3, 3]", "SAME_UPPER") cut to `size` bytes; its full length. */
LINNET_API size_t      linnet_layer_attr_text(const linnet_layer *l, size_t i, char *out, size_t size);

/* ---- models: building by code ------------------------------------------------------------ */

/*
 * A model grows by names: declare inputs, give weights, add layers, name the outputs, then
 * linnet_model_finish(). A name is used for one value only; a layer may name inputs that
 * come later. After finish the model is like a loaded one; before it, it cannot be run.
 * A call that fails leaves the model as it was.
 */
LINNET_API linnet_status linnet_model_create(const linnet_options *opt, linnet_model **out,
                                             linnet_error *err);
/* dims may hold -1 for an open dimension. */
LINNET_API linnet_status linnet_model_add_input(linnet_model *m, const char *name, int32_t dtype,
                                                int32_t rank, const int64_t *dims, linnet_error *err);
LINNET_API linnet_status linnet_model_add_output(linnet_model *m, const char *name, linnet_error *err);
/* A weight. The elements are copied. */
LINNET_API linnet_status linnet_model_add_weight(linnet_model *m, const char *name, int32_t dtype,
                                                 int32_t rank, const int64_t *dims,
                                                 const void *data, size_t size, linnet_error *err);
/* Every tensor of a safetensors file as a weight of that name; elements are copied. */
LINNET_API linnet_status linnet_model_add_weights(linnet_model *m, const void *data, size_t size,
                                                  linnet_error *err);
LINNET_API linnet_status linnet_model_open_weights(linnet_model *m, const char *path, linnet_error *err);
LINNET_API linnet_status linnet_model_set_meta(linnet_model *m, const char *key, const char *value,
                                               linnet_error *err);
LINNET_API linnet_status linnet_model_finish(linnet_model *m, linnet_error *err);

/*
 * Any operator of the library by its ONNX name, in ONNX's meaning at its newest version.
 * Inputs may be "" or NULL where an optional one is absent. *out (NULL: not wanted) is the
 * layer, to set attributes on; it stays valid until the model is freed.
 */
LINNET_API linnet_status linnet_layer_add(linnet_model *m, const char *op, const char *name,
                                          const char *const *inputs, size_t input_count,
                                          const char *const *outputs, size_t output_count,
                                          linnet_layer **out, linnet_error *err);
/* Attributes by ONNX name; an unknown name or a wrong type is refused. Values are copied. */
LINNET_API linnet_status linnet_layer_set_int(linnet_layer *l, const char *name, int64_t v,
                                              linnet_error *err);
LINNET_API linnet_status linnet_layer_set_float(linnet_layer *l, const char *name, float v,
                                                linnet_error *err);
LINNET_API linnet_status linnet_layer_set_string(linnet_layer *l, const char *name, const char *v,
                                                 linnet_error *err);
LINNET_API linnet_status linnet_layer_set_ints(linnet_layer *l, const char *name, const int64_t *v,
                                               size_t count, linnet_error *err);
LINNET_API linnet_status linnet_layer_set_floats(linnet_layer *l, const char *name, const float *v,
                                                 size_t count, linnet_error *err);

/* ---- typed layer builders --------------------------------------------------------------------- */

/*
 * Each adds one named layer (with the Transpose layers that a layout needs, which plans
 * cancel again); the layer's output value has the layer's name. Data is in the layout
 * that the struct says: channels last as in Keras and TFLite, channels first as in
 * PyTorch and ONNX. Zero a struct, set struct_size, and fill what differs from zero.
 */
enum { LINNET_CHANNELS_LAST = 0, LINNET_CHANNELS_FIRST = 1 };
enum { LINNET_PAD_VALID = 0, LINNET_PAD_SAME = 1, LINNET_PAD_EXPLICIT = 2 };
enum {
    LINNET_ACT_NONE = 0, LINNET_ACT_RELU, LINNET_ACT_RELU6, LINNET_ACT_LEAKY_RELU,
    LINNET_ACT_SIGMOID, LINNET_ACT_TANH, LINNET_ACT_SOFTMAX, LINNET_ACT_ELU, LINNET_ACT_GELU,
    LINNET_ACT_SWISH, LINNET_ACT_HARD_SWISH, LINNET_ACT_HARD_SIGMOID, LINNET_ACT_SOFTPLUS
};

typedef struct linnet_conv2d {
    uint32_t struct_size;
    int32_t  layout;        /* of the data: LINNET_CHANNELS_* */
    int32_t  kernel_layout; /* LINNET_CHANNELS_LAST: HWIO (Keras); LINNET_CHANNELS_FIRST: OIHW (PyTorch) */
    int32_t  padding;       /* LINNET_PAD_* */
    int32_t  stride[2];     /* height, width; 0 means 1 */
    int32_t  dilation[2];   /* 0 means 1 */
    int32_t  pads[4];       /* of LINNET_PAD_EXPLICIT: top, left, bottom, right */
    int32_t  group;         /* 0 means 1 */
    int32_t  activation;    /* LINNET_ACT_* */
} linnet_conv2d;

typedef struct linnet_pool2d {
    uint32_t struct_size;
    int32_t  layout;
    int32_t  average;   /* 0: maximum; 1: average, padding not counted */
    int32_t  padding;
    int32_t  kernel[2]; /* height, width */
    int32_t  stride[2]; /* 0: the kernel's */
    int32_t  pads[4];
} linnet_pool2d;

typedef struct linnet_recurrent {
    uint32_t struct_size;
    int32_t  hidden;       /* units */
    int32_t  bidirectional;
    int32_t  batch_first;  /* 1: [batch, time, features] (Keras); 0: [time, batch, features] */
    int32_t  last_only;    /* 1: the output is that of the last step alone */
    int32_t  linear_before_reset; /* GRU: 1 as Keras (reset_after) and PyTorch, 0 as the original paper */
} linnet_recurrent;

/* kernel, bias and weight are names of weights; bias may be NULL. */
LINNET_API linnet_status linnet_layer_conv2d(linnet_model *m, const char *name, const char *input,
                                             const char *kernel, const char *bias,
                                             const linnet_conv2d *c, linnet_error *err);
LINNET_API linnet_status linnet_layer_pool2d(linnet_model *m, const char *name, const char *input,
                                             const linnet_pool2d *c, linnet_error *err);
/* y = act(x * weight + bias) over the last axis. transposed 0: weight [in, out] (Keras); 1: [out, in] (PyTorch). */
LINNET_API linnet_status linnet_layer_dense(linnet_model *m, const char *name, const char *input,
                                            const char *weight, const char *bias, int32_t transposed,
                                            int32_t activation, linnet_error *err);
LINNET_API linnet_status linnet_layer_activation(linnet_model *m, const char *name, const char *input,
                                                 int32_t activation, linnet_error *err);
/* scale, shift, mean, variance over axis `layout` says is the channel. */
LINNET_API linnet_status linnet_layer_batch_norm(linnet_model *m, const char *name, const char *input,
                                                 const char *scale, const char *shift, const char *mean,
                                                 const char *variance, float epsilon, int32_t layout,
                                                 linnet_error *err);
LINNET_API linnet_status linnet_layer_flatten(linnet_model *m, const char *name, const char *input,
                                              linnet_error *err);
LINNET_API linnet_status linnet_layer_reshape(linnet_model *m, const char *name, const char *input,
                                              int32_t rank, const int64_t *dims, linnet_error *err);
/* y = a + b with broadcasting. */
LINNET_API linnet_status linnet_layer_sum(linnet_model *m, const char *name, const char *a, const char *b,
                                          linnet_error *err);
LINNET_API linnet_status linnet_layer_concat(linnet_model *m, const char *name, const char *const *inputs,
                                             size_t count, int32_t axis, linnet_error *err);
/* Rows of `table` [words, features] picked by integer indices. */
LINNET_API linnet_status linnet_layer_embedding(linnet_model *m, const char *name, const char *indices,
                                                const char *table, linnet_error *err);
/* Weights in ONNX's form: W [dirs, gates*hidden, in], R [dirs, gates*hidden, hidden], B [dirs, 2*gates*hidden]. */
LINNET_API linnet_status linnet_layer_lstm(linnet_model *m, const char *name, const char *input,
                                           const char *w, const char *r, const char *b,
                                           const linnet_recurrent *c, linnet_error *err);
LINNET_API linnet_status linnet_layer_gru(linnet_model *m, const char *name, const char *input,
                                          const char *w, const char *r, const char *b,
                                          const linnet_recurrent *c, linnet_error *err);
LINNET_API linnet_status linnet_layer_rnn(linnet_model *m, const char *name, const char *input,
                                          const char *w, const char *r, const char *b,
                                          const linnet_recurrent *c, linnet_error *err);

/* ---- models: saving and self-test ---------------------------------------------------------------- */

/* Write as .lnt through a callback that takes all `size` bytes and returns 0, or an error. */
typedef linnet_status (*linnet_write_fn)(void *user, const void *data, size_t size);
LINNET_API linnet_status linnet_model_write(const linnet_model *m, linnet_write_fn write, void *user,
                                            linnet_error *err);
/* To a file; on failure no half-written file is left. */
LINNET_API linnet_status linnet_model_save(const linnet_model *m, const char *path, linnet_error *err);

/*
 * Keep the weights that a session with these options wants packed, and write them with the model: for a
 * model read from .lnt whose input shapes are declared (open dimensions count as 1). A session that wants the
 * same (instruction-set level, options, version of the library) starts from that file without packing; any
 * other packs as always. May be called for several levels. Not to be called while other threads use the model.
 *
 * Such a file has most weights twice, and opening it reads those alone that sessions will. The others are checked by
 * whoever first reads them: where the file is damaged there, a session, linnet_model_weight() or
 * linnet_model_write() answers LINNET_ERR_FORMAT.
 */
LINNET_API linnet_status linnet_model_pack(linnet_model *m, const linnet_options *opt, linnet_error *err);

/*
 * Test vectors: inputs and the outputs expected of them, in the model's order, with the
 * tolerance |y - want| <= atol + rtol * |want|. Copied; saved with the model. Not to be
 * called while other threads use the model.
 */
LINNET_API linnet_status linnet_model_add_test(linnet_model *m, const linnet_tensor *const *inputs,
                                               const linnet_tensor *const *outputs, double rtol,
                                               double atol, linnet_error *err);
LINNET_API size_t linnet_model_test_count(const linnet_model *m);
/* Tensor k of test i: inputs first, then outputs. NULL outside. */
LINNET_API const linnet_tensor *linnet_model_test_tensor(const linnet_model *m, size_t i, size_t k);
/* Run every test vector in a session made with opt. LINNET_ERR_CHECK names the worst element. */
LINNET_API linnet_status linnet_model_check(const linnet_model *m, const linnet_options *opt,
                                            linnet_error *err);

/*
 * Reading one tensor alone, for tools and tests: an ONNX TensorProto (.pb). Free with
 * linnet_tensor_free(). *name (may be NULL) is cut to name_size bytes.
 */
LINNET_API linnet_status linnet_tensor_load_pb(const void *data, size_t size, linnet_tensor **out,
                                               char *name, size_t name_size, linnet_error *err);

/* ---- sessions -------------------------------------------------------------------------------------- */

/*
 * A session is a plan (kernels chosen, weights packed, every buffer placed) and its memory.
 * Where all input shapes are declared it is planned here; else at the first run, and again
 * whenever an input comes in a new shape. A planned run allocates nothing.
 */
LINNET_API linnet_status linnet_session_create(const linnet_model *m, const linnet_options *opt,
                                               linnet_session **out, linnet_error *err);
LINNET_API void linnet_session_free(linnet_session *s);

/*
 * For systems without a heap: the exact number of bytes that a session takes, and a session
 * in memory of the caller's, of at least that size and of any alignment. Needs declared
 * shapes; a placed session never allocates, and refuses another input shape. The weights
 * that kernels want in another form are part of those bytes. Free ends its use of `memory`.
 */
LINNET_API linnet_status linnet_session_size(const linnet_model *m, const linnet_options *opt,
                                             size_t *bytes, linnet_error *err);
LINNET_API linnet_status linnet_session_place(const linnet_model *m, const linnet_options *opt,
                                              void *memory, size_t size,
                                              linnet_session **out, linnet_error *err);

/*
 * Set input i for the next runs. `data` is borrowed and read during linnet_session_run();
 * size must be the exact bytes of the shape. The type must be the model's.
 */
LINNET_API linnet_status linnet_session_set_input(linnet_session *s, size_t i, int32_t dtype, int32_t rank,
                                                  const int64_t *dims, const void *data, size_t size,
                                                  linnet_error *err);
LINNET_API linnet_status linnet_session_set_input_tensor(linnet_session *s, size_t i, const linnet_tensor *t,
                                                         linnet_error *err);

/*
 * For models with sequences and optionals: set input i to a sequence of tensors (borrowed, as are
 * their elements; the list is copied), or an optional input to nothing.
 */
LINNET_API linnet_status linnet_session_set_sequence(linnet_session *s, size_t i, const linnet_tensor *const *items,
                                                     size_t count, linnet_error *err);
LINNET_API linnet_status linnet_session_set_absent(linnet_session *s, size_t i, linnet_error *err);
/* Items of output i where it is a sequence (0 too for an optional without a value), or -1: a tensor. */
LINNET_API int64_t linnet_session_output_length(const linnet_session *s, size_t i);
/* Item k of sequence output i, valid until the next call of this; NULL outside. */
LINNET_API const linnet_tensor *linnet_session_output_item(linnet_session *s, size_t i, size_t k);

/*
 * Let run() write output i to the caller's memory as well as to the session's: exactly the
 * bytes of the output, which are known after planning. data NULL ends that.
 */
LINNET_API linnet_status linnet_session_set_output(linnet_session *s, size_t i, void *data, size_t size,
                                                   linnet_error *err);

/*
 * Compute. All inputs must be set. Errors: LINNET_ERR_ARGUMENT for an input not set,
 * LINNET_ERR_SHAPE for shapes the model cannot take, LINNET_ERR_DATA for bad data (an index out of
 * range); the session can be used again after each of them.
 *
 * Operators that draw random numbers (Bernoulli, Multinomial, RandomNormal, RandomUniform, Dropout told
 * to train) make them from the layer's seed and the element's place: every run gives the same, on any
 * number of threads. A layer of a file without a seed gets one from its output's name. A model that
 * needs fresh numbers takes them as an input.
 */
LINNET_API linnet_status linnet_session_run(linnet_session *s, linnet_error *err);

/* Plan for the shapes of the inputs set so far, without running. */
LINNET_API linnet_status linnet_session_plan(linnet_session *s, linnet_error *err);

/* Output i of the last run; NULL before a run. Valid until the next run. */
LINNET_API const linnet_tensor *linnet_session_output(const linnet_session *s, size_t i);

/* ---- sessions: state ----------------------------------------------------------------------------------- */

/*
 * Recurrent state. After this, what a run leaves in `output` is what the next run finds in `input`: a stream
 * goes through the model chunk by chunk, and neither hidden states nor caches pass through the caller.
 *
 *     linnet_session_tie(s, 1, 1, &err);                 output 1 is input 1 of the next run
 *     for (;;) { linnet_session_set_input(s, 0, ...); linnet_session_run(s, &err); ... }
 *
 * The state starts as zeros, or as what the input had been set to, which is copied. Setting a tied
 * input later gives the state that value (copied too, so it need not be kept). An open dimension is taken
 * from another input that has been set and names the same symbol; where there is none, set the tied
 * input once. Type and shape of both must be the same once planned: else LINNET_ERR_SHAPE, here or at the run. An
 * open dimension may change, as that of past keys which grow by a token: the next run is planned for it.
 * A run that fails leaves the state as it was. A cache that TensorScatter alone reads and makes is written
 * where it lies: a run costs the new rows only, and one that fails may leave these rows (no others) written.
 * Tying may allocate, runs do not. In a placed session ties
 * come from linnet_options, and linnet_session_size() counts them.
 */
LINNET_API linnet_status linnet_session_tie(linnet_session *s, size_t output, size_t input, linnet_error *err);
/*
 * For dimensions that change from run to run: the one that the model's inputs call `symbol` will be `most` at most.
 * Memory for the largest shapes (inputs as they are set, with these sizes) is taken before the next plan is made;
 * from then on a run of any smaller shape is planned anew, but allocates nothing.
 */
LINNET_API linnet_status linnet_session_reserve(linnet_session *s, const char *symbol, int64_t most, linnet_error *err);
/* All tied inputs back to zeros and the shape they were given: the next run begins a new stream. */
LINNET_API linnet_status linnet_session_reset(linnet_session *s, linnet_error *err);

/*
 * The state as bytes, the same on every machine of one byte order: a header that names the network (its
 * operators, inputs, outputs and the shapes of its weights, not their values), types and shapes, then the
 * elements and a checksum. Loading checks all of it before anything changes; a state of another network, of
 * other ties or of a size that does not fit gets an error. `size` must be exact in both.
 */
LINNET_API linnet_status linnet_session_state_size(const linnet_session *s, size_t *bytes, linnet_error *err);
LINNET_API linnet_status linnet_session_save_state(const linnet_session *s, void *out, size_t size,
                                                   linnet_error *err);
LINNET_API linnet_status linnet_session_load_state(linnet_session *s, const void *data, size_t size,
                                                   linnet_error *err);
/* The state of `from` into `to`, a session of the same model with the same ties. */
LINNET_API linnet_status linnet_session_copy_state(const linnet_session *from, linnet_session *to,
                                                   linnet_error *err);

/* ---- sessions: facts -------------------------------------------------------------------------------------- */

typedef struct linnet_session_info {
    uint32_t struct_size;  /* set before the call */
    int32_t  isa;          /* LINNET_ISA_* in use */
    int32_t  threads;
    int32_t  planned;      /* 0: waiting for input shapes; the rest is 0 then */
    uint64_t arena_bytes;  /* activations, workspace, scratch */
    uint64_t plan_bytes;   /* steps and their state */
    uint64_t weight_bytes; /* weights packed for kernels, shared by the model's sessions */
    double   flop;         /* floating-point operations of one run */
    uint64_t steps;
    uint64_t dynamic_steps; /* whose shapes depend on data: planned while running */
} linnet_session_info;
LINNET_API linnet_status linnet_session_get_info(const linnet_session *s, linnet_session_info *out);

/* Step i of the plan, for profiles. ns: time in the last run, where opt->profile was 1. */
typedef struct linnet_step_info {
    uint32_t    struct_size; /* set before the call */
    int32_t     dtype, rank; /* of the step's first output */
    int64_t     dims[LINNET_MAX_RANK];
    const char *op, *layer;
    double      flop;
    uint64_t    ns;
} linnet_step_info;
LINNET_API linnet_status linnet_session_step(const linnet_session *s, size_t i, linnet_step_info *out);

/* ---- worker pools ------------------------------------------------------------------------------------ */

/*
 * `threads` counts the calling thread: 4 starts three workers. Where a thread cannot be
 * started the pool has fewer. One pool may serve any number of sessions on any number of
 * threads (runs then take turns); it must outlive them. allocator NULL: malloc and free.
 */
LINNET_API linnet_status linnet_pool_create(int32_t threads, const linnet_allocator *allocator,
                                            linnet_pool **out, linnet_error *err);

/*
 * A pool over the host's own threads: parallel_for must call task(context, i, worker) once
 * for every i in [0, count), and return when all have returned; `worker` is in [0, threads)
 * and no two calls at the same time have the same.
 */
typedef void (*linnet_task_fn)(void *context, size_t i, int32_t worker);
typedef void (*linnet_parallel_fn)(void *user, size_t count, linnet_task_fn task, void *context);
LINNET_API linnet_status linnet_pool_wrap(int32_t threads, linnet_parallel_fn parallel_for, void *user,
                                          const linnet_allocator *allocator,
                                          linnet_pool **out, linnet_error *err);
LINNET_API void    linnet_pool_free(linnet_pool *p);
LINNET_API int32_t linnet_pool_threads(const linnet_pool *p); /* NULL: 1 */

/* ---- operators of this build ---------------------------------------------------------------------------- */

LINNET_API size_t      linnet_op_count(void);
LINNET_API const char *linnet_op_name(size_t i); /* i outside: NULL */

/* ---- operators of the caller's own ---------------------------------------------------------------------- */

/*
 * For models with layers that linnet lacks. Fill an array of these, give it in options.ops when
 * a model is opened or created, and its layers of that name run through the callbacks. The
 * descriptions are copied; the functions and `user` must outlive the model and its sessions.
 */
enum { LINNET_ATTR_INT = 1, LINNET_ATTR_FLOAT, LINNET_ATTR_STRING, LINNET_ATTR_INTS, LINNET_ATTR_FLOATS };
typedef struct linnet_custom_attr {
    const char *name;
    int32_t     type;     /* LINNET_ATTR_* */
    int32_t     required; /* 1: a layer without it is refused */
    double      preset;   /* of an int (up to 2^53) or a float that is not given; strings and lists are empty then */
} linnet_custom_attr;

/* A call of an operator, valid until the callback returns. */
typedef struct linnet_op_call linnet_op_call;

/* To be returned by infer() alone: elements of an input are needed that are known only while running. */
enum { LINNET_OP_WAIT = 1 };
enum { LINNET_OP_IMPURE = 1 }; /* results depend on more than the inputs: never computed ahead */
#define LINNET_OP_MOST_INPUTS  16
#define LINNET_OP_MOST_OUTPUTS 8

typedef struct linnet_custom_op {
    uint32_t    struct_size;
    uint32_t    flags;       /* LINNET_OP_* */
    const char *name;        /* "com.example.Snake": the domain, a dot, the operator; none of linnet's names */
    int32_t     input_min, input_max, output_min, output_max;
    const linnet_custom_attr *attrs;
    size_t      attr_count;
    /*
     * Types and shapes: gives every output one with linnet_op_set_output(), or fails. May ask for
     * scratch memory and several tasks. Called while planning, with the elements of constant
     * inputs (linnet_tensor_data() is NULL for others), from any thread.
     */
    linnet_status (*infer)(void *user, linnet_op_call *call);
    /*
     * Computes all elements of the outputs; once for each task, in any order, from any thread
     * and from several at once. Must not allocate where the session has to run without.
     */
    linnet_status (*run)(void *user, linnet_op_call *call);
    void       *user;
} linnet_custom_op;

LINNET_API size_t linnet_op_input_count(const linnet_op_call *c);  /* as the layer has them */
LINNET_API size_t linnet_op_output_count(const linnet_op_call *c);
LINNET_API const linnet_tensor *linnet_op_input(const linnet_op_call *c, size_t i); /* NULL: absent, or i outside */
LINNET_API linnet_tensor *linnet_op_output(linnet_op_call *c, size_t i); /* in run(); NULL: nobody wants it */
LINNET_API linnet_status  linnet_op_set_output(linnet_op_call *c, size_t i, int32_t dtype, int32_t rank,
                                               const int64_t *dims); /* in infer() */
/* Attributes by name, or their presets; a name that the description lacks is 0, "" or an empty list. */
LINNET_API int64_t     linnet_op_int(const linnet_op_call *c, const char *name);
LINNET_API float       linnet_op_float(const linnet_op_call *c, const char *name);
LINNET_API const char *linnet_op_string(const linnet_op_call *c, const char *name);
LINNET_API const int64_t *linnet_op_ints(const linnet_op_call *c, const char *name, size_t *count);
LINNET_API const float   *linnet_op_floats(const linnet_op_call *c, const char *name, size_t *count);
/* In infer(): bytes that every task finds at linnet_op_scratch(), 64-byte aligned, contents undefined. */
LINNET_API void   linnet_op_set_scratch(linnet_op_call *c, size_t bytes);
LINNET_API void  *linnet_op_scratch(const linnet_op_call *c);
/* In infer(): split the work [1; 0 counts as 1]. In run(): which of the tasks this is. */
LINNET_API void   linnet_op_set_tasks(linnet_op_call *c, size_t tasks);
LINNET_API size_t linnet_op_task(const linnet_op_call *c);
/* A sentence for the caller's linnet_error; returns `status`, for the callback to return. */
LINNET_API linnet_status linnet_op_fail(linnet_op_call *c, linnet_status status, const char *message);

#ifdef __cplusplus
}
#endif

#endif
