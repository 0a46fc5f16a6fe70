/*
 * attention.h - scaled dot-product attention, whatever operator asks for it.
 *
 *   Y = softmax(softcap(scale * Q K^T) + mask) V, head by head
 *
 * An operator says where Q, K, V and Y lie by strides, and which keys a query may see. The past
 * and present caches are [batch, kv_heads, tokens, head] without gaps.
 */
#ifndef LN_ATTENTION_H
#define LN_ATTENTION_H

#include "op.h"

typedef struct ln_attention_strides {
    size_t batch, head, row; /* elements from one to the next */
} ln_attention_strides;

enum { LN_QK_RAW, LN_QK_SOFTCAP, LN_QK_MASKED, LN_QK_SOFTMAX };

typedef struct ln_attention {
    size_t  batch, q_heads, kv_heads;
    size_t  q_len, kv_len, past, total; /* total = past + kv_len keys */
    size_t  head, v_head;
    ln_attention_strides q, k, v, y;
    int32_t dtype, mask_dtype;          /* mask_dtype 0: no mask */
    size_t  mask_batch, mask_head, mask_row, mask_len; /* strides; keys behind mask_len are out */
    double  scale;
    float   softcap;                    /* 0: none */
    bool    causal;
    int64_t left, right;                /* window; -1: open */
    int32_t qk_mode;                    /* LN_QK_*: what the scores output shows */
    bool    plain;                      /* a query that sees no key gives NaN, as softmax does; else zeros */

    /* What ln_attention_prepare() decides. */
    int32_t way, phase;                 /* how; index of the first of its two phases */
    size_t  key_block, key_blocks, q_block, q_blocks;
    size_t  tile;                       /* query rows that go through together */
    size_t  k_packed, v_packed;         /* floats of one packed block of keys, of values */
    size_t  k_at, v_at;                 /* packed keys and values in the workspace, in floats */
} ln_attention;

typedef struct ln_attention_data {
    const void    *q, *k, *v, *mask, *past_k, *past_v;
    const int64_t *lengths; /* valid keys of each batch entry, or NULL: all */
    void          *y, *present_k, *present_v, *qk; /* NULL: not wanted */
} ln_attention_data;

/*
 * Two phases from q->phases - 1 on: the caller sets q->phases to one more than the phases of its
 * own. The workspace grows behind the q->workspace bytes already asked for.
 */
linnet_status ln_attention_prepare(ln_prepare *q, ln_attention *s);
linnet_status ln_attention_run(const ln_run *r, const ln_attention *s, const ln_attention_data *d);

/* ---- shared by the ways to compute it -------------------------------------------------- */

/* Bytes of token j of a cache of which `past` tokens are in old and the rest in fresh. */
const char *ln_attention_token(const ln_attention *s, const void *old, const void *fresh,
                               const ln_attention_strides *at, size_t width, size_t b, size_t h, size_t j);
/* Keys [*from, *to) are open to query i of batch entry b, before the mask. */
void ln_attention_window(const ln_attention *s, const ln_attention_data *d, size_t b, size_t i, size_t *from,
                         size_t *to);
/* The first element of the mask's row for query i. */
size_t ln_attention_mask_at(const ln_attention *s, size_t b, size_t h, size_t i);

/* Query i of any element type. Scratch: total + v_head doubles. */
void ln_attention_wide(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b, size_t h,
                       size_t i);

#endif
