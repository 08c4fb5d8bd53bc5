/* The sweeps of sweep.py on recorded local derivatives.

A sweep marks its nodes with numbers of its own, taken from a clock that only goes up: `base` for a node that has been
seen, base + 1 + place once it has its place in the order. Python code may run in between (a signal handler, or another
thread while one runs) and sweep the same nodes; then the clock has moved, and the sweep starts over. */

typedef struct {
    Value *node;
    uint32_t slot;
} Frame;

typedef struct {
    uint64_t base;
    Value **order;
    Py_ssize_t count, room;
    Frame *stack;
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

static uint64_t clock_now = 1;

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

static inline bool place(Sweep *sweep, Value *node)
{
    if (sweep->count == sweep->room && !grow((void **)&sweep->order, &sweep->room, sizeof(Value *)))
        return false;
    node->mark = sweep->base + 1 + (uint64_t)sweep->count;
    sweep->order[sweep->count++] = node;
    return true;
}

static inline bool push(Sweep *sweep, Value *node)
{
    if (sweep->depth == sweep->stack_room && !grow((void **)&sweep->stack, &sweep->stack_room, sizeof(Frame)))
        return false;
    node->mark = sweep->base;
    sweep->stack[sweep->depth++] = (Frame){node, 0};
    if (node->count == 2 && node->kinds[1] & NODE)
        PREFETCH(&node->few.operands[1].node->mark);
    return true;
}

static inline bool seen(const Sweep *sweep, const Value *node) { return node->mark >= sweep->base; }
static inline Py_ssize_t place_of(const Sweep *sweep, const Value *node)
{
    return (Py_ssize_t)(node->mark - sweep->base - 1);
}

/* The operand to go to next, leaves placed on the way; NULL if all of the node's operands have been seen. */
static inline bool next_operand(Sweep *sweep, Frame *frame, Value **next)
{
    Slots slots = slots_of(frame->node);
    *next = NULL;
    while (frame->slot < frame->node->count) {
        uint32_t slot = frame->slot++;
        if (!(slots.kinds[slot] & NODE) || seen(sweep, slots.operands[slot].node))
            continue;
        Value *operand = slots.operands[slot].node;
        if (operand->count) {
            *next = operand;
            return true;
        }
        if (!place(sweep, operand))
            return false;
    }
    return true;
}

/* Put the node, after all that it was computed from, in the order. */
static enum status visit(Sweep *sweep, Value *output)
{
    if (seen(sweep, output))
        return DONE;
    if (!push(sweep, output))
        return FAILED;
    while (sweep->depth) {
        Value *next;
        Frame *top = &sweep->stack[sweep->depth - 1];
        if (!next_operand(sweep, top, &next))
            return FAILED;
        if (next ? !push(sweep, next) : (sweep->depth--, !place(sweep, top->node)))
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
            if (!seen(sweep, (Value *)leaves[i]) && !place(sweep, (Value *)leaves[i]))
                status = FAILED;
        for (Py_ssize_t i = 0; i < count && status == DONE; i++)
            status = visit(sweep, (Value *)outputs[i]);
        if (status != DISTURBED)
            publish(sweep);
    } while (status == DISTURBED);
    return status == DONE;
}

/* ---- messages ---- */

static bool make_numbers(Sweep *sweep)
{
    if (sweep->number_room < sweep->count || !sweep->reached) {
        PyMem_Free(sweep->numbers);
        PyMem_Free(sweep->reached);
        sweep->number_room = sweep->room;
        sweep->numbers = PyMem_Malloc((size_t)sweep->room * sizeof(double));
        sweep->reached = PyMem_Malloc((size_t)sweep->room);
        if (!sweep->numbers || !sweep->reached) {
            sweep->number_room = 0;
            PyErr_NoMemory();
            return false;
        }
    }
    memset(sweep->reached, false, (size_t)sweep->count);
    return true;
}

static inline double add_at(const Sweep *sweep, Py_ssize_t at, double message)
{
    double total = sweep->reached[at] ? sweep->numbers[at] + message : message;
    sweep->reached[at] = true;
    return sweep->numbers[at] = total;
}

static PyObject *new_message(PyObject *type, Value *node, uint32_t slot, const double *numbers)
{
    PyObject *message = NULL, *fields = Py_BuildValue(
        "((OIOdddd))", node, slot, slots_of(node).operands[slot].node, numbers[0], numbers[1], numbers[2], numbers[3]);
    if (fields)
        message = PyTuple_Type.tp_new((PyTypeObject *)type, fields, NULL);
    Py_XDECREF(fields);
    return message;
}

typedef bool (*Observer)(PyObject *context, Value *node, uint32_t slot, const double *numbers);

/* Send the messages of a node; an observer is told of each (adjoint, local derivative, message and sum so far). */
static inline bool send_from(const Sweep *sweep, Value *node, double adjoint, Observer observer, PyObject *context)
{
    Slots slots = slots_of(node);
    for (uint32_t slot = 0; slot < node->count; slot++) {
        if (!(slots.kinds[slot] & LOCAL))
            continue;
        double message = adjoint * slots.local[slot];
        double total = add_at(sweep, place_of(sweep, slots.operands[slot].node), message);
        if (observer) {
            const double numbers[] = {adjoint, slots.local[slot], message, total};
            if (!observer(context, node, slot, numbers))
                return false;
        }
    }
    return true;
}

static enum status send_all(Sweep *sweep, Observer observer, PyObject *context)
{
    for (Py_ssize_t i = sweep->count - 1; i >= 0; i--) {
        if (i >= AHEAD)
            PREFETCH(&sweep->order[i - AHEAD]->grad);
        if (!sweep->reached[i])
            continue;
        if (observer ? !send_from(sweep, sweep->order[i], sweep->numbers[i], observer, context)
                     : !send_from(sweep, sweep->order[i], sweep->numbers[i], NULL, NULL))
            return FAILED;
        enum status status = look_up_sometimes(sweep);
        if (status != DONE)
            return status;
    }
    return DONE;
}

/* A reverse sweep from outputs with seeds (1 without); the adjoints stand by place. */
static enum status sweep_back(
    Sweep *sweep, PyObject *const *outputs, const double *seeds, Py_ssize_t count, Observer observer, PyObject *context)
{
    if (!find_order(sweep, outputs, count, NULL, 0) || !make_numbers(sweep))
        return FAILED;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t at = place_of(sweep, (Value *)outputs[i]);
        sweep->numbers[at] = (sweep->reached[at] ? sweep->numbers[at] : 0.0) + (seeds ? seeds[i] : 1.0);
        sweep->reached[at] = true;
    }
    return send_all(sweep, observer, context);
}

static bool raise_unless_finite(PyObject *globals, Value *node, uint32_t slot, const double *numbers)
{
    if (isfinite(numbers[2]) && isfinite(numbers[3]))
        return true;
    PyObject *message = new_message(PyDict_GetItemString(globals, "Message"), node, slot, numbers);
    if (message)
        Py_XDECREF(PyObject_CallOneArg(PyDict_GetItemString(globals, "_raise_anomaly"), message));
    Py_XDECREF(message);
    return false;
}

static int watching(void)
{
    PyObject *mode;
    if (PyContextVar_Get(mode_variable, NULL, &mode) < 0)
        return -1;
    int anomaly = mode == Py_None ? 0 : is_set(mode, "anomaly");
    Py_DECREF(mode);
    return anomaly;
}

static PyObject *sweep_globals; /* of sweep.py */

/* Backpropagation: no .grad changes before all adjoints are known. */
static PyObject *backward_from(PyObject *const *outputs, const double *seeds, Py_ssize_t count)
{
    Sweep sweep = new_sweep();
    int anomaly = watching();
    enum status status = anomaly < 0 ? FAILED : DISTURBED;
    while (status == DISTURBED)
        status = sweep_back(&sweep, outputs, seeds, count, anomaly ? raise_unless_finite : NULL, sweep_globals);
    for (Py_ssize_t i = 0; status == DONE && i < sweep.count; i++) {
        if (i + AHEAD < sweep.count)
            PREFETCH(&sweep.order[i + AHEAD]->grad);
        if (sweep.reached[i])
            sweep.order[i]->grad += sweep.numbers[i];
    }
    end(&sweep);
    return status == DONE ? Py_NewRef(Py_None) : NULL;
}

typedef struct {
    PyObject *list, *type;
} Record;

static bool record(PyObject *context, Value *node, uint32_t slot, const double *numbers)
{
    Record *into = (Record *)context;
    PyObject *message = new_message(into->type, node, slot, numbers);
    bool fine = message && PyList_Append(into->list, message) == 0;
    Py_XDECREF(message);
    return fine;
}

/* The messages of a reverse sweep. Many objects are made: the garbage collector, which may run Python code, waits. */
static PyObject *record_from(PyObject *const *outputs, const double *seeds, Py_ssize_t count)
{
    Sweep sweep = new_sweep();
    Record into = {NULL, PyDict_GetItemString(sweep_globals, "Message")};
    int collecting = PyGC_Disable();
    enum status status = DISTURBED;
    while (status == DISTURBED) {
        Py_XSETREF(into.list, PyList_New(0));
        status = into.list ? sweep_back(&sweep, outputs, seeds, count, record, (PyObject *)&into) : FAILED;
    }
    if (collecting)
        PyGC_Enable();
    end(&sweep);
    if (status != DONE)
        Py_CLEAR(into.list);
    return into.list;
}

/* Pass numbers from the operands up to a node: its tangent, unless it is a seed. */
static inline void pass_up(const Sweep *sweep, Py_ssize_t at)
{
    Slots slots = slots_of(sweep->order[at]);
    for (uint32_t slot = 0; slot < sweep->order[at]->count; slot++) {
        if (!(slots.kinds[slot] & LOCAL))
            continue;
        Py_ssize_t operand = place_of(sweep, slots.operands[slot].node);
        if (sweep->reached[operand])
            add_at(sweep, at, sweep->numbers[operand] * slots.local[slot]);
    }
}
