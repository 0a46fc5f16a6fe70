/*
 * nms.c - NonMaxSuppression: the best boxes of each class that do not overlap too much.
 *
 * How many there are is known only once they are found, so infer() finds them to count them, and run()
 * finds them again to write them: the same walk. Boxes come off a heap by their score; one that overlaps none of
 * those kept so far is kept.
 */
#include "order.h"

typedef struct param { int64_t center_point_box; } param;

typedef struct nms_box { float low[2], high[2], area; } nms_box;

typedef struct nms_work {
    const float *box, *score; /* [batch][boxes][4], [batch][classes][boxes] */
    int64_t batches, classes, boxes, most;
    float   overlap, least;
    bool    has_least, center;
    nms_box *kept;  /* of this class: at most `most` and at most `boxes` */
    uint64_t *heap; /* one key for each box */
} nms_work;

static linnet_status nms_begin(const param *p, int32_t in_count, const ln_desc *in, const void *const *value,
                               nms_work *w, linnet_error *err)
{
    if (in[0].dtype != LINNET_F32 || in[1].dtype != LINNET_F32 || in[0].rank != 3 || in[1].rank != 3 ||
        in[0].dim[2] != 4 || in[0].dim[0] != in[1].dim[0] || in[0].dim[1] != in[1].dim[2])
        return ln_fail(err, LINNET_ERR_SHAPE, "NonMaxSuppression: boxes and scores do not fit together");
    if ((p->center_point_box != 0 && p->center_point_box != 1) || in[0].dim[1] > UINT32_MAX)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "NonMaxSuppression: center_point_box %lld, or too many boxes",
                       (long long)p->center_point_box);
    for (int32_t i = 0; i < in_count; i++) {
        if (in[i].dtype == 0)
            continue;
        if (i >= 2 && (ln_count(&in[i]) != 1 || in[i].dtype != (i == 2 ? LINNET_I64 : LINNET_F32)))
            return ln_fail(err, LINNET_ERR_SHAPE, "NonMaxSuppression: input %d is not one number", (int)i);
        if (ln_count(&in[i]) && !value[i])
            return LN_WAIT;
    }
    memset(w, 0, sizeof *w);
    w->box = value[0];
    w->score = value[1];
    w->batches = in[1].dim[0];
    w->classes = in[1].dim[1];
    w->boxes = in[1].dim[2];
    w->center = p->center_point_box == 1;
    if (in_count > 2 && in[2].dtype)
        w->most = LN_MAX(0, *(const int64_t *)value[2]);
    if (in_count > 3 && in[3].dtype)
        w->overlap = *(const float *)value[3];
    if (in_count > 4 && in[4].dtype) {
        w->least = *(const float *)value[4];
        w->has_least = true;
    }
    return LINNET_OK;
}

/* Bytes for the boxes kept, then for the heap. */
static bool nms_room(const nms_work *w, size_t *heap_at, size_t *bytes)
{
    size_t heap;

    return ln_mul((size_t)LN_MIN(w->most, w->boxes), sizeof(nms_box), heap_at) && ln_align_up(*heap_at, 16, heap_at) &&
           ln_mul((size_t)w->boxes, sizeof(uint64_t), &heap) && ln_add(*heap_at, heap, bytes);
}

/* Corners of a box, lower ones first. */
static nms_box nms_corners(const nms_work *w, const float *b)
{
    nms_box x;

    if (w->center) /* x, y, width, height */
        x = (nms_box){ { b[1] - b[3] / 2, b[0] - b[2] / 2 }, { b[1] + b[3] / 2, b[0] + b[2] / 2 }, 0 };
    else /* any two opposite corners: y1, x1, y2, x2 */
        x = (nms_box){ { LN_MIN(b[0], b[2]), LN_MIN(b[1], b[3]) }, { LN_MAX(b[0], b[2]), LN_MAX(b[1], b[3]) }, 0 };
    x.area = (x.high[0] - x.low[0]) * (x.high[1] - x.low[1]);
    return x;
}

static bool nms_overlap(const nms_work *w, const nms_box *a, const nms_box *b)
{
    const float h = LN_MIN(a->high[0], b->high[0]) - LN_MAX(a->low[0], b->low[0]);
    const float v = LN_MIN(a->high[1], b->high[1]) - LN_MAX(a->low[1], b->low[1]);

    if (!(h > 0 && v > 0))
        return false;
    const float common = h * v;
    return a->area > 0 && b->area > 0 && common / (a->area + b->area - common) > w->overlap;
}

/* The selected boxes of one class; how many. NaN is no score. */
static int64_t nms_class(nms_work *w, int64_t batch, int64_t class, int64_t *out)
{
    const float *score = w->score + (batch * w->classes + class) * w->boxes, *box = w->box + batch * w->boxes * 4;
    int64_t found = 0;
    size_t n = 0;

    for (int64_t i = 0; i < w->boxes; i++) /* the heap has its smallest key on top */
        if (score[i] == score[i] && (!w->has_least || score[i] > w->least))
            w->heap[n++] = ~ln_key(ln_order_f32(score[i]), (size_t)i);
    ln_heap_make(w->heap, n);
    while (n > 0 && found < w->most) {
        const size_t at = ln_key_place(~w->heap[0]);
        const nms_box b = nms_corners(w, box + 4 * at);
        bool keep = true;
        for (int64_t k = found; k-- > 0 && keep;)
            keep = !nms_overlap(w, &w->kept[k], &b);
        if (keep) {
            if (out) {
                out[3 * found] = batch;
                out[3 * found + 1] = class;
                out[3 * found + 2] = (int64_t)at;
            }
            w->kept[found++] = b;
        }
        w->heap[0] = w->heap[--n];
        ln_heap_down(w->heap, 0, n);
    }
    return found;
}

static int64_t nms_all(nms_work *w, int64_t *out)
{
    int64_t total = 0;

    for (int64_t b = 0; b < w->batches; b++)
        for (int64_t c = 0; c < w->classes; c++)
            total += nms_class(w, b, c, out ? out + 3 * total : NULL);
    return total;
}

static linnet_status infer(const ln_infer *q)
{
    nms_work w;
    size_t heap, bytes;
    const linnet_status st = nms_begin(q->param, q->in_count, q->in, q->value, &w, q->err);

    if (st)
        return st;
    if (!nms_room(&w, &heap, &bytes))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "NonMaxSuppression: too many boxes");
    char *room = ln_arena_alloc(q->room, 1, LN_MAX(bytes, (size_t)1));
    if (!room)
        return LINNET_ERR_MEMORY;
    w.kept = (nms_box *)(void *)room;
    w.heap = (uint64_t *)(void *)(room + heap);
    q->out[0] = ln_desc_of(LINNET_I64, 2, (int64_t[]){ nms_all(&w, NULL), 3 });
    return LINNET_OK;
}

typedef struct state { int32_t in_count; size_t heap; } state;

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    nms_work w;

    s->in_count = q->in_count;
    return nms_begin(q->param, q->in_count, q->in, q->value, &w, q->err) || !nms_room(&w, &s->heap, &q->workspace)
               ? LINNET_ERR_LIMIT : LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    nms_work w;
    const linnet_status st = nms_begin(r->param, s->in_count, r->in_desc, r->in, &w, r->err);

    if (st || !r->out[0])
        return st;
    w.kept = r->workspace;
    w.heap = (uint64_t *)(void *)((char *)r->workspace + s->heap);
    nms_all(&w, r->out[0]);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "center_point_box", LN_ATTR_I64, offsetof(param, center_point_box), 0, false },
    { 0 },
};

const ln_op ln_op_non_max_suppression = {
    .name = "NonMaxSuppression", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 5, .infer = infer, .prepare = prepare, .run = run,
};
