/*
 * conv_seven.c - 1x1 convolution as seven products of half the size (dense_seven.c), where that pays.
 *
 * A convolution whose output pixels are its input pixels is one matrix product: pixels x channels
 * times weights. Between tasks nothing is shared, and a task's bits do not depend on the others.
 */
#include "conv.h"

/* Multiply-adds for each float of weights: below, reading seven quarters of them costs what is saved. */
#define SEVEN_REUSE 150u

static bool seven_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    ln_seven s;

    return !c->exact && c->dtype == LINNET_F32 && c->group == 1 && c->pixels >= SEVEN_REUSE && ln_conv_flat(&c->win) &&
           ln_seven_init(&s, kernel, c->pixels, c->m, c->cg);
}

static linnet_status seven_prepare(ln_prepare *q, ln_conv *c)
{
    if (!ln_seven_init(&c->seven, q->kernel, c->pixels, c->m, c->cg) || !ln_seven_floats(&c->seven, &c->packed))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the weights are too large");
    c->tasks = c->seven.tasks;
    c->pack_tasks = ln_seven_steps(&c->seven, q->kernel);
    q->scratch = c->seven.scratch;
    return LINNET_OK;
}

static void seven_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const ln_dense_b b = { 1, 0, 1, c->cg, 1.0f, 0 };

    ln_seven_pack(&c->seven, kernel, &b, w, out, task);
}

static void seven_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const ln_gemm_f32 g = { c->m, c->cg, 1, d->weight, d->bias, c->act };

    ln_seven_run(&c->seven, r->kernel, &g, d->x, c->cg, d->y, c->ldy, d->add, c->m, r->scratch, task);
}

const ln_conv_way ln_conv_seven = {
    .name = "seven", .applicable = seven_applicable, .prepare = seven_prepare, .pack = seven_pack, .run = seven_run,
};

#undef SEVEN_REUSE
