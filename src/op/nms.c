/*
 * nms.c - NonMaxSuppression: the best boxes of each class that do not overlap too much.
 *
 * How many there are is known only once they are found, so infer() finds them to count them, and run()
 * finds them again to write them: the same walk. It has no memory but a bitmap of boxes on the
 * stack, which bounds their number; the order of scores is found by repeated search.
 */
#include "op.h"

enum { NMS_MOST_BOXES = 65536 };

typedef struct param { int64_t center_point_box; } param;

typedef struct nms_work {
    const float *box, *score; /* [batch][boxes][4], [batch][classes][boxes] */
    int64_t batches, classes, boxes, most;
    float   overlap, least;
    bool    has_least, center;
    uint8_t done[NMS_MOST_BOXES / 8]; /* boxes of this class that were looked at */
} nms_work;

static linnet_status nms_begin(const param *p, int32_t in_count, const ln_desc *in, const void *const *value,
                               nms_work *w, linnet_error *err)
{
    if (in[0].dtype != LINNET_F32 || in[1].dtype != LINNET_F32 || in[0].rank != 3 || in[1].rank != 3 ||
        in[0].dim[2] != 4 || in[0].dim[0] != in[1].dim[0] || in[0].dim[1] != in[1].dim[2])
        return ln_fail(err, LINNET_ERR_SHAPE, "NonMaxSuppression: boxes and scores do not fit together");
    if ((p->center_point_box != 0 && p->center_point_box != 1) || in[0].dim[1] > NMS_MOST_BOXES)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "NonMaxSuppression: center_point_box %lld, or more than %d boxes",
                       (long long)p->center_point_box, NMS_MOST_BOXES);
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

/* Corners of a box, lower ones first. */
static void nms_corners(const nms_work *w, const float *b, float out[4])
{
    if (w->center) { /* x, y, width, height */
        out[0] = b[1] - b[3] / 2;
        out[1] = b[0] - b[2] / 2;
        out[2] = b[1] + b[3] / 2;
        out[3] = b[0] + b[2] / 2;
    } else { /* any two opposite corners: y1, x1, y2, x2 */
        out[0] = LN_MIN(b[0], b[2]);
        out[1] = LN_MIN(b[1], b[3]);
        out[2] = LN_MAX(b[0], b[2]);
        out[3] = LN_MAX(b[1], b[3]);
    }
}

static bool nms_overlap(const nms_work *w, const float *x, const float *y)
{
    float a[4], b[4];

    nms_corners(w, x, a);
    nms_corners(w, y, b);
    const float h = LN_MIN(a[2], b[2]) - LN_MAX(a[0], b[0]), v = LN_MIN(a[3], b[3]) - LN_MAX(a[1], b[1]);
    if (!(h > 0 && v > 0))
        return false;
    const float common = h * v, area = (a[2] - a[0]) * (a[3] - a[1]), other = (b[2] - b[0]) * (b[3] - b[1]);
    return area > 0 && other > 0 && common / (area + other - common) > w->overlap;
}

/* The best box not looked at yet, the first of equal ones; -1: none. NaN is no score. */
static int64_t nms_next(const nms_work *w, const float *score)
{
    int64_t best = -1;

    for (int64_t i = 0; i < w->boxes; i++)
        if (!(w->done[i / 8] >> (i % 8) & 1) && score[i] == score[i] && (!w->has_least || score[i] > w->least) &&
            (best < 0 || score[i] > score[best]))
            best = i;
    return best;
}

/*
 * The selected boxes of one class; how many. `done` marks a box as looked at where it was selected or
 * overlaps a selected one: so the next best is always one to select.
 */
static int64_t nms_class(nms_work *w, int64_t batch, int64_t class, int64_t *out)
{
    const float *score = w->score + (batch * w->classes + class) * w->boxes, *box = w->box + batch * w->boxes * 4;
    int64_t found = 0;

    memset(w->done, 0, sizeof w->done);
    for (int64_t at; found < w->most && (at = nms_next(w, score)) >= 0; found++) {
        if (out) {
            out[3 * found] = batch;
            out[3 * found + 1] = class;
            out[3 * found + 2] = at;
        }
        w->done[at / 8] |= (uint8_t)(1u << (at % 8));
        for (int64_t i = 0; i < w->boxes; i++)
            if (nms_overlap(w, box + 4 * at, box + 4 * i))
                w->done[i / 8] |= (uint8_t)(1u << (i % 8));
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
    const linnet_status st = nms_begin(q->param, q->in_count, q->in, q->value, &w, q->err);

    if (st)
        return st;
    q->out[0] = ln_desc_of(LINNET_I64, 2, (int64_t[]){ nms_all(&w, NULL), 3 });
    return LINNET_OK;
}

typedef struct state { int32_t in_count; } state;

static linnet_status prepare(ln_prepare *q)
{
    ((state *)q->state)->in_count = q->in_count;
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    nms_work w;
    const linnet_status st = nms_begin(r->param, ((const state *)r->state)->in_count, r->in_desc, r->in, &w, r->err);

    if (!st && r->out[0])
        nms_all(&w, r->out[0]);
    return st;
}

static const ln_attr attr[] = {
    { "center_point_box", LN_ATTR_I64, offsetof(param, center_point_box), 0, false },
    { 0 },
};

const ln_op ln_op_non_max_suppression = {
    .name = "NonMaxSuppression", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 5, .infer = infer, .prepare = prepare, .run = run,
};
