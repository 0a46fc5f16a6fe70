/*
 * pass_clean.c - take out nodes that nothing depends on.
 *
 * One walk backwards: a node stays if somebody wants one of its outputs, and what stays wants
 * its inputs.
 */
#include "pass.h"

linnet_status ln_pass_clean(const ln_pass *p)
{
    ln_graph *g = p->g;
    bool *wanted = ln_arena_alloc(g->arena, g->value_count + 1, sizeof *wanted);
    size_t kept = g->node_count;

    if (!wanted)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    for (size_t i = 0; i < g->output_count; i++)
        wanted[g->output[i]] = true;
    for (size_t i = g->node_count; i-- > 0;) {
        const ln_node n = g->node[i];
        bool stays = false;
        for (int32_t k = 0; k < n.out_count; k++)
            stays = stays || (n.out[k] != LN_NONE && wanted[n.out[k]]);
        if (!stays)
            continue;
        for (int32_t k = 0; k < n.in_count; k++)
            if (n.in[k] != LN_NONE)
                wanted[n.in[k]] = true;
        for (int32_t k = 0; k < n.capture_count; k++)
            wanted[n.capture[k]] = true;
        g->node[--kept] = n;
    }
    ln_graph_set_nodes(g, g->node + kept, g->node_count - kept);
    return LINNET_OK;
}
