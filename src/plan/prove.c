/*
 * prove.c - the checksums of weights that a file's reader left alone.
 *
 * A file with packed weights has most weights twice. Reading those as they are would take half the time of opening
 * it, and as a rule nobody does. So its reader only notes the checksums of large ones, and whoever
 * does read them proves them first or, as planning does, before the results can be used.
 */
#include "plan.h"

static linnet_status prove_sum(const linnet_model *m, ln_sum *sum, linnet_error *err)
{
    const ln_value *v = &m->graph->value[sum->value];

    if (atomic_load(&sum->proved)) /* if two threads do the work, both find the same */
        return LINNET_OK;
    if ((m->file.mapped ? ln_crc32c_aside(v->data, v->size) : ln_crc32c(0, v->data, v->size)) != sum->crc)
        return ln_fail(err, LINNET_ERR_FORMAT, "the elements of \"%s\" do not have the checksum that the file says", v->name);
    atomic_store(&sum->proved, true);
    return LINNET_OK;
}

linnet_status ln_prove_value(const linnet_model *m, int32_t value, linnet_error *err)
{
    for (size_t i = 0; i < m->packs.sum_count; i++)
        if (m->packs.sum[i].value == value)
            return prove_sum(m, &m->packs.sum[i], err);
    return LINNET_OK;
}

linnet_status ln_prove(const linnet_model *m, bool (*wanted)(const void *user, int32_t value), const void *user,
                       linnet_error *err)
{
    linnet_status st = LINNET_OK;

    for (size_t i = 0; i < m->packs.sum_count && !st; i++)
        if (!wanted || wanted(user, m->packs.sum[i].value))
            st = prove_sum(m, &m->packs.sum[i], err);
    return st;
}
