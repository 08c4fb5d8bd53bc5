/* The functions of sweep.py. */

/* Whether outputs are Values with operands. A subclass may make them only when Python code reads `operands`. */
static bool all_made(PyObject *const *outputs, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_value(outputs[i]) || (!Py_IS_TYPE(outputs[i], ValueType) && !((Value *)outputs[i])->count))
            return false;
    return true;
}

static PyObject *list_of(Value *const *nodes, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++)
        PyList_SET_ITEM(list, i, Py_NewRef((PyObject *)nodes[i]));
    return list;
}

static PyObject *native_order(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    bool named = names && PyTuple_GET_SIZE(names) == 1
                 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "leaves") == 0;
    if ((names && !named) || !all_made(args, count))
        return NOT_MINE;
    PyObject *given = named ? args[count] : NULL;
    if (given && !PyList_CheckExact(given) && !PyTuple_CheckExact(given) && !PyDict_CheckExact(given))
        return NOT_MINE;
    PyObject *leaves = given ? PySequence_Tuple(given) : PyTuple_New(0), *result = NOT_MINE;
    if (!leaves)
        return NULL;
    if (all_values(((PyTupleObject *)leaves)->ob_item, PyTuple_GET_SIZE(leaves))) {
        Sweep sweep = new_sweep();
        bool found = find_order(&sweep, args, count, ((PyTupleObject *)leaves)->ob_item, PyTuple_GET_SIZE(leaves));
        result = found ? list_of(sweep.order, sweep.count) : NULL;
        end(&sweep);
    }
    Py_DECREF(leaves);
    return result;
}

typedef PyObject *(*From)(PyObject *const *outputs, const double *seeds, Py_ssize_t count);

/* Read outputs and seeds as `_seeded` in sweep.py does, if they are one or more Values and as many floats, or no seeds. */
static PyObject *call_from(From from, Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count < 1 || count > 2)
        return NOT_MINE;
    PyObject *outputs = is_value(args[0])                                        ? PyTuple_Pack(1, args[0])
                        : PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0]) ? PySequence_Tuple(args[0])
                                                                                 : NOT_MINE;
    if (!outputs || outputs == NOT_MINE)
        return outputs;
    PyObject *seeds = count > 1 && args[1] != Py_None ? args[1] : NULL, *result = NOT_MINE;
    Row row = {0};
    Py_ssize_t n = PyTuple_GET_SIZE(outputs);
    double *numbers = NULL;
    if (seeds && (PyList_CheckExact(seeds) || PyTuple_CheckExact(seeds)))
        open_row(seeds, &row);
    else if (seeds)
        row = (Row){.items = &args[1], .count = 1};
    bool mine = all_made(((PyTupleObject *)outputs)->ob_item, n) && (!seeds || row.count == n);
    if (mine && seeds && !(numbers = PyMem_Malloc((size_t)n * sizeof(double))))
        result = PyErr_NoMemory();
    for (Py_ssize_t i = 0; numbers && mine && i < n; i++)
        mine = take(row.items[i], &numbers[i]) == 0;
    if (mine && result)
        result = from(((PyTupleObject *)outputs)->ob_item, numbers, n);
    PyMem_Free(numbers);
    Py_DECREF(outputs);
    return result;
}

/* Whether nothing is recorded now: then Python says whether there is a graph to go through. -1 for an error. */
static int no_recording(void)
{
    PyObject *mode;
    if (PyContextVar_Get(mode_variable, NULL, &mode) < 0)
        return -1;
    int recording = mode == Py_None ? 1 : is_set(mode, "recording");
    Py_DECREF(mode);
    return recording < 0 ? -1 : !recording;
}

static PyObject *native_backward(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    int refused = no_recording();
    return refused < 0 ? NULL : refused ? NOT_MINE : call_from(backward_from, self, args, count, names);
}

/* `Value.backward`, which takes its seed as a number. */
static PyObject *native_backward_method(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    double seed = 1.0;
    int refused = no_recording();
    if (refused < 0)
        return NULL;
    if (refused || names || capturing() || count < 1 || count > 2 || !is_value(args[0]) || (count == 2 && take(args[1], &seed) != 0))
        return NOT_MINE;
    return backward_from(args, &seed, 1);
}

static PyObject *native_record_sweep(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_from(record_from, self, args, count, names);
}

static PyObject *native_zero_grad(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 1 || !is_value(args[0]))
        return NOT_MINE;
    Sweep sweep = new_sweep();
    bool found = find_order(&sweep, args, 1, NULL, 0);
    for (Py_ssize_t i = 0; found && i < sweep.count; i++)
        sweep.order[i]->grad = 0.0;
    end(&sweep);
    return found ? Py_NewRef(Py_None) : NULL;
}

/* Take a given order as a sweep's, if its nodes are distinct Values and no message leaves it. */
static bool take_order(Sweep *sweep, PyObject *order)
{
    begin(sweep);
    bool fine = true;
    for (Py_ssize_t i = 0; fine && i < PyTuple_GET_SIZE(order); i++) {
        PyObject *node = PyTuple_GET_ITEM(order, i);
        fine = is_value(node) && !seen(sweep, (Value *)node) && place(sweep, (Value *)node, false);
    }
    publish(sweep);
    mark_places(sweep);
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++) {
        Slots slots = slots_of(sweep->order[i]);
        for (uint32_t slot = 0; fine && slot < sweep->order[i]->count; slot++)
            fine = !(slots.kinds[slot] & LOCAL) || seen(sweep, slots.operands[slot].node);
    }
    return fine;
}

static bool take_seeds(Sweep *sweep, PyObject *seeds)
{
    Py_ssize_t position = 0;
    PyObject *node, *seed;
    if (!make_numbers(sweep))
        return false;
    while (PyDict_Next(seeds, &position, &node, &seed)) {
        if (!is_value(node) || !seen(sweep, (Value *)node) || !PyFloat_CheckExact(seed))
            return false;
        add_at(sweep, place_of(sweep, (Value *)node), PyFloat_AS_DOUBLE(seed));
    }
    return true;
}

static PyObject *numbers_by_node(const Sweep *sweep, PyObject *seeds)
{
    PyObject *result = PyDict_Copy(seeds);
    for (Py_ssize_t i = 0; result && i < sweep->count; i++) {
        if (!sweep->reached[i])
            continue;
        PyObject *number = PyFloat_FromDouble(sweep->numbers[i]);
        if (!number || PyDict_SetItem(result, (PyObject *)sweep->order[i], number) < 0)
            Py_CLEAR(result);
        Py_XDECREF(number);
    }
    return result;
}

/* `reverse` and `forward` on floats, with the recorded derivatives. */
static PyObject *call_sweep(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names, bool back)
{
    if (names || count < 2 || count > 3 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]))
        return NOT_MINE;
    PyObject *recorded = count == 3 ? look_up(sweep_globals, "recorded") : NULL;
    if (count == 3 && args[2] != recorded)
        return recorded ? NOT_MINE : NULL;
    Sweep sweep = new_sweep();
    PyObject *order = PyList_AsTuple(args[0]), *result = NOT_MINE;
    if (order && take_order(&sweep, order) && take_seeds(&sweep, args[1])) {
        if (back ? send_all(&sweep) : pass_all(&sweep))
            result = numbers_by_node(&sweep, args[1]);
        else
            result = NULL;
    } else if (PyErr_Occurred()) {
        result = NULL;
    }
    Py_XDECREF(order);
    end(&sweep);
    return result;
}

static PyObject *native_reverse(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_sweep(self, args, count, names, true);
}

static PyObject *native_forward(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_sweep(self, args, count, names, false);
}
