/* The topological order of a graph, and the marks and arrays that all sweeps share.

Each sweep marks its nodes with a number of its own, `base`, taken from a clock that only goes up. To note a node's place
in the order it marks the node with base + 1 + place. Python code may run during a sweep (a signal handler, another
thread) and sweep the same nodes. Then the clock has moved on, and the first sweep starts again.

Plain backpropagation spends its time waiting for memory, so it stores the adjoint in the place of the mark, and 0 when it
is done. Read as doubles, the clock's numbers are signalling nans, which no arithmetic produces: no mark is an adjoint. */

typedef struct {
    uint64_t base;
    Value **order;
    Py_ssize_t count, room;
    uintptr_t *stack; /* nodes that wait for their operands: see `wait_for` */
    Py_ssize_t depth, stack_room;
    double *numbers; /* adjoints or tangents, by place */
    bool *reached;   /* which places have one; it may be 0 */
    Py_ssize_t number_room;
    uint32_t steps;
} Sweep;

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)0)
#endif
#define AHEAD 8 /* how many nodes ahead memory is fetched */

enum status { DONE, FAILED, DISTURBED };

static uint64_t clock_now = 0x7FF0000000000001;

static Sweep spare; /* keeps the arrays of the last sweep for the next one */
#define MOST_SPARE (1 << 17)

static Sweep new_sweep(void)
{
    Sweep sweep = spare;
    spare = (Sweep){0};
    return sweep;
}

static void end(Sweep *sweep)
{
    if (!spare.order && sweep->room < MOST_SPARE && sweep->stack_room < MOST_SPARE) {
        spare = *sweep;
        return;
    }
    PyMem_Free(sweep->order);
    PyMem_Free(sweep->stack);
    PyMem_Free(sweep->numbers);
    PyMem_Free(sweep->reached);
}

static void begin(Sweep *sweep)
{
    sweep->base = clock_now;
    sweep->count = sweep->depth = 0;
}

/* Move the clock past the marks that this sweep has used. */
static inline void publish(const Sweep *sweep)
{
    uint64_t mine = sweep->base + 2 + (uint64_t)sweep->count;
    clock_now = clock_now > mine ? clock_now : mine;
}

static enum status look_up_signals(const Sweep *sweep)
{
    publish(sweep);
    uint64_t before = clock_now;
    if (PyErr_CheckSignals() < 0)
        return FAILED;
    return clock_now == before ? DONE : DISTURBED;
}

static inline enum status look_up_sometimes(Sweep *sweep)
{
    return (++sweep->steps & 0xFFFF) == 0 ? look_up_signals(sweep) : DONE;
}

static bool grow(void **array, Py_ssize_t *room, size_t size)
{
    Py_ssize_t wanted = *room ? *room + (*room >> 1) : 256;
    void *grown = PyMem_Realloc(*array, (size_t)wanted * size);
    if (!grown) {
        PyErr_NoMemory();
        return false;
    }
    *array = grown;
    *room = wanted;
    return true;
}

static inline bool place(Sweep *sweep, Value *node, bool marked)
{
    if (sweep->count == sweep->room && !grow((void **)&sweep->order, &sweep->room, sizeof(Value *)))
        return false;
    if (!marked) /* a marked node is not touched: it may have left the cache */
        node->mark = sweep->base;
    sweep->order[sweep->count++] = node;
    return true;
}

static inline bool seen(const Sweep *sweep, const Value *node) { return node->mark >= sweep->base; }
static inline Py_ssize_t place_of(const Sweep *sweep, const Value *node)
{
    return (Py_ssize_t)(node->mark - sweep->base - 1);
}

/* Find the next operand to visit, from `*slot` on; NULL if there is none. Leaves on the way get their place at once. */
static inline bool next_operand(Sweep *sweep, Value *node, uint32_t *slot, Value **next)
{
    Slots slots = slots_of(node);
    *next = NULL;
    while (*slot < node->count) {
        uint32_t at = (*slot)++;
        if (!(slots.kinds[at] & NODE) || seen(sweep, slots.operands[at].node))
            continue;
        Value *operand = slots.operands[at].node;
        if (operand->count) {
            *next = operand;
            return true;
        }
        if (!place(sweep, operand, false))
            return false;
    }
    return true;
}

/* Put a node on the stack while an operand is visited. If no operand is left for later, a tag of 1 says so, and the node
need not be fetched again. Otherwise a wide node has its next slot below it on the stack; a narrow one goes on at slot 1. */
static inline bool wait_for(Sweep *sweep, Value *node, uint32_t slot)
{
    if (sweep->depth + 2 > sweep->stack_room
        && !grow((void **)&sweep->stack, &sweep->stack_room, sizeof(uintptr_t)))
        return false;
    uintptr_t entry = (uintptr_t)node;
    if (node->count > FEW)
        sweep->stack[sweep->depth++] = slot;
    else if (slot == node->count || !(node->kinds[1] & NODE) || seen(sweep, node->few.operands[1].node))
        entry |= 1;
    sweep->stack[sweep->depth++] = entry;
    return true;
}

/* Append to the order all that the output was computed from, and then the output. */
static enum status visit(Sweep *sweep, Value *output)
{
    if (seen(sweep, output))
        return DONE;
    for (Value *next = output; next || sweep->depth;) {
        Value *node = next;
        uint32_t slot = 0;
        bool done = false;
        if (node) {
            node->mark = sweep->base;
            PREFETCH(&(node - AHEAD)->mark); /* operands usually lie before the node, because they were made earlier */
        } else {
            uintptr_t entry = sweep->stack[--sweep->depth];
            done = entry & 1;
            node = (Value *)(entry - done);
            if (!done)
                slot = node->count > FEW ? (uint32_t)sweep->stack[--sweep->depth] : 1;
        }
        if (done)
            next = NULL;
        else if (!next_operand(sweep, node, &slot, &next))
            return FAILED;
        if (next ? !wait_for(sweep, node, slot) : !place(sweep, node, true))
            return FAILED;
        enum status status = look_up_sometimes(sweep);
        if (status != DONE)
            return status;
    }
    return DONE;
}

/* Fill sweep->order as `topological_order` in sweep.py defines it. */
static bool find_order(
    Sweep *sweep, PyObject *const *outputs, Py_ssize_t count, PyObject *const *leaves, Py_ssize_t leaf_count)
{
    enum status status;
    do {
        begin(sweep);
        status = DONE;
        for (Py_ssize_t i = 0; i < leaf_count && status == DONE; i++)
            if (!seen(sweep, (Value *)leaves[i]) && !place(sweep, (Value *)leaves[i], false))
                status = FAILED;
        for (Py_ssize_t i = 0; i < count && status == DONE; i++)
            status = visit(sweep, (Value *)outputs[i]);
        if (status != DISTURBED)
            publish(sweep);
    } while (status == DISTURBED);
    return status == DONE;
}

/* Mark each node with its place. */
static void mark_places(Sweep *sweep)
{
    for (Py_ssize_t i = 0; i < sweep->count; i++)
        sweep->order[i]->mark = sweep->base + 1 + (uint64_t)i;
}
