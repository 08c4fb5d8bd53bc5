/* Reverse and forward sweeps over recorded local derivatives. */

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

/* Look up a name in a module's globals: a borrowed reference, or NULL with an exception. */
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

/* Send the messages of a node. An observer gets each of them: adjoint, local derivative, message, and the sum so far. */
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

/* Prepare a reverse sweep: its order, and the outputs' seeds, which are 1 by default. */
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

static PyObject *sweep_globals; /* the globals of sweep.py */

static inline void add_adjoint(const Sweep *sweep, Value *node, double message)
{
    node->adjoint = node->mark == sweep->base ? message : node->adjoint + message;
}

/* Plain backpropagation. No Python code can run meanwhile, so the adjoints are added to .grad right away. */
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

/* Backpropagation under detect_anomaly: no .grad changes until all messages are known to be finite. */
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

/* The messages of a reverse sweep as a list. The garbage collector, which may run Python code, is off meanwhile. */
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

/* Add up a node's tangent from those of its operands. */
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

/* Compute the tangents of all nodes except the seeds, operands first. No Python code runs, so the marks stay valid. */
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
