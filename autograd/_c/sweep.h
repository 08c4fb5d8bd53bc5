/* The sweeps of sweep.py on recorded local derivatives.

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

/* What a module's name stands for, borrowed; NULL with an exception. */
static PyObject *look_up(PyObject *globals, const char *name)
{
    PyObject *key = PyUnicode_FromString(name), *found = key ? PyDict_GetItemWithError(globals, key) : NULL;
    if (!found && !PyErr_Occurred())
        PyErr_Format(PyExc_NameError, "name %R is not defined", key);
    Py_XDECREF(key);
    return found;
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

static bool send_all(Sweep *sweep)
{
    for (Py_ssize_t i = sweep->count - 1; i >= 0; i--)
        if (sweep->reached[i])
            send_from(sweep, sweep->order[i], sweep->numbers[i], NULL, NULL);
    return true;
}

static enum status send_all_observed(Sweep *sweep, Observer observer, PyObject *context)
{
    for (Py_ssize_t i = sweep->count - 1; i >= 0; i--) {
        if (sweep->reached[i] && !send_from(sweep, sweep->order[i], sweep->numbers[i], observer, context))
            return FAILED;
        enum status status = look_up_sometimes(sweep);
        if (status != DONE)
            return status;
    }
    return DONE;
}

/* Order and seeds (1 without) for a reverse sweep. */
static bool seed(Sweep *sweep, PyObject *const *outputs, const double *seeds, Py_ssize_t count)
{
    if (!find_order(sweep, outputs, count, NULL, 0) || !make_numbers(sweep))
        return false;
    mark_places(sweep);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t at = place_of(sweep, (Value *)outputs[i]);
        sweep->numbers[at] = (sweep->reached[at] ? sweep->numbers[at] : 0.0) + (seeds ? seeds[i] : 1.0);
        sweep->reached[at] = true;
    }
    return true;
}

static bool raise_unless_finite(PyObject *globals, Value *node, uint32_t slot, const double *numbers)
{
    if (isfinite(numbers[2]) && isfinite(numbers[3]))
        return true;
    PyObject *type = look_up(globals, "Message"), *raise = type ? look_up(globals, "_raise_anomaly") : NULL;
    PyObject *message = raise ? new_message(type, node, slot, numbers) : NULL;
    if (message)
        Py_XDECREF(PyObject_CallOneArg(raise, message));
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

static inline void add_adjoint(const Sweep *sweep, Value *node, double message)
{
    node->adjoint = node->mark == sweep->base ? message : node->adjoint + message;
}

/* Plain backpropagation. Nothing can come in between: signals wait, and the adjoints go straight to .grad. */
static void propagate(const Sweep *sweep)
{
    for (Py_ssize_t i = sweep->count - 1; i >= 0; i--) {
        Value *node = sweep->order[i];
        if (i >= AHEAD)
            PREFETCH(&sweep->order[i - AHEAD]->grad);
        if (node->mark != sweep->base) {
            double adjoint = node->adjoint;
            Slots slots = slots_of(node);
            for (uint32_t slot = 0; slot < node->count; slot++)
                if (slots.kinds[slot] & LOCAL)
                    add_adjoint(sweep, slots.operands[slot].node, adjoint * slots.local[slot]);
            node->grad += adjoint;
        }
        node->mark = 0;
    }
}

static PyObject *backward_plain(PyObject *const *outputs, const double *seeds, Py_ssize_t count)
{
    Sweep sweep = new_sweep();
    bool found = find_order(&sweep, outputs, count, NULL, 0);
    for (Py_ssize_t i = 0; found && i < count; i++) {
        Value *output = (Value *)outputs[i];
        output->adjoint = (output->mark == sweep.base ? 0.0 : output->adjoint) + (seeds ? seeds[i] : 1.0);
    }
    if (found)
        propagate(&sweep);
    end(&sweep);
    return found ? Py_NewRef(Py_None) : NULL;
}

/* The same under detect_anomaly: no .grad changes before all messages are known to be finite. */
static PyObject *backward_watched(PyObject *const *outputs, const double *seeds, Py_ssize_t count)
{
    Sweep sweep = new_sweep();
    enum status status = DISTURBED;
    while (status == DISTURBED) {
        status = FAILED;
        if (seed(&sweep, outputs, seeds, count))
            status = send_all_observed(&sweep, raise_unless_finite, sweep_globals);
    }
    for (Py_ssize_t i = 0; status == DONE && i < sweep.count; i++)
        if (sweep.reached[i])
            sweep.order[i]->grad += sweep.numbers[i];
    end(&sweep);
    return status == DONE ? Py_NewRef(Py_None) : NULL;
}

static PyObject *backward_from(PyObject *const *outputs, const double *seeds, Py_ssize_t count)
{
    int anomaly = watching();
    return anomaly < 0 ? NULL : (anomaly ? backward_watched : backward_plain)(outputs, seeds, count);
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
    Record into = {NULL, look_up(sweep_globals, "Message")};
    int collecting = PyGC_Disable();
    enum status status = DISTURBED;
    while (status == DISTURBED) {
        Py_XSETREF(into.list, PyList_New(0));
        status = FAILED;
        if (into.list && into.type && seed(&sweep, outputs, seeds, count))
            status = send_all_observed(&sweep, record, (PyObject *)&into);
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

/* The tangents of all nodes but the seeds, operands first. No Python code runs, so the marks stay. */
static bool pass_all(Sweep *sweep)
{
    bool *seeded = PyMem_Malloc((size_t)sweep->count + 1);
    if (!seeded)
        return PyErr_NoMemory() != NULL;
    memcpy(seeded, sweep->reached, (size_t)sweep->count);
    for (Py_ssize_t i = 0; i < sweep->count; i++)
        if (!seeded[i])
            pass_up(sweep, i);
    PyMem_Free(seeded);
    return true;
}
