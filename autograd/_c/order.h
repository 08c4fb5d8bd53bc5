/* The topological order of a graph, and the marks and arrays that all sweeps share.

A sweep marks its nodes with a number of its own, `base`, from a clock that only goes up; where it needs to know a
node's place in the order, it marks with base + 1 + place. Python code may run in between (a signal handler, or another
thread while one runs) and sweep the same nodes; then the clock has moved, and the sweep starts over.

Plain backpropagation saves memory traffic, which is what it waits for: the adjoint takes the place of the mark, and
leaves 0. The clock's numbers are signalling nans as doubles, which no arithmetic makes, so none is an adjoint. */

typedef struct {
    uint64_t base;
    Value **order;
    Py_ssize_t count, room;
    uintptr_t *stack; /* nodes that wait for their operands: see `wait_for` */
    Py_ssize_t depth, stack_room;
    double *numbers; /* adjoints or tangents by place */
    bool *reached;   /* which of them there are: an adjoint of 0 is one, too */
    Py_ssize_t number_room;
    uint32_t steps;
} Sweep;

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)0)
#endif
#define AHEAD 8 /* nodes: a sweep waits for memory more than it computes */

enum status { DONE, FAILED, DISTURBED };

static uint64_t clock_now = 0x7FF0000000000001;

static Sweep spare; /* the arrays of the last sweep, for the next one */
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

/* Reserve the marks that were used so far. */
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
    if (!marked) /* else it is left alone: it may have gone from the cache by now */
        node->mark = sweep->base;
    sweep->order[sweep->count++] = node;
    return true;
}

static inline bool seen(const Sweep *sweep, const Value *node) { return node->mark >= sweep->base; }
static inline Py_ssize_t place_of(const Sweep *sweep, const Value *node)
{
    return (Py_ssize_t)(node->mark - sweep->base - 1);
}

/* The operand to go to next, from `*slot` on, leaves placed on the way; NULL if all the rest have been seen. */
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

/* Put a node aside while an operand has its turn. A node with nothing to look at afterwards is tagged by 1, so that it
need not be fetched again; else a wide one has its next slot beside it, and a narrow one's is the second. */
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

/* Put the node, after all that it was computed from, in the order. */
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
            PREFETCH(&(node - AHEAD)->mark); /* operands were made before, as a rule */
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

/* The order of `topological_order` in sweep.py, in sweep->order. */
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

/* Mark the nodes with their places. */
static void mark_places(Sweep *sweep)
{
    for (Py_ssize_t i = 0; i < sweep->count; i++)
        sweep->order[i]->mark = sweep->base + 1 + (uint64_t)i;
}
