/* The functions of graphs.py: copies and pickles of graphs. */

static bool find_exact_order(Sweep *sweep, PyObject *output, bool *exact)
{
    if (!find_order(sweep, &output, 1, NULL, 0))
        return false;
    *exact = true;
    for (Py_ssize_t i = 0; *exact && i < sweep->count; i++)
        *exact = Py_IS_TYPE((PyObject *)sweep->order[i], ValueType);
    return true;
}

static Value *copy_with(Value *node, PyObject *memo)
{
    Slots from = slots_of(node), into;
    Value *twin = new_node(node->data, node->rule);
    if (!twin || !make_room(twin, node->count, &into)) {
        Py_XDECREF(twin);
        return NULL;
    }
    twin->grad = node->grad;
    twin->label = Py_XNewRef(node->label);
    twin->source = Py_XNewRef(node->source);
    for (uint32_t i = 0; i < node->count; i++) {
        PyObject *operand = NULL;
        if (from.kinds[i] & NODE) {
            PyObject *key = PyLong_FromVoidPtr(from.operands[i].node);
            operand = key ? PyDict_GetItemWithError(memo, key) : NULL;
            Py_XDECREF(key);
            if (!operand || !is_value(operand)) {
                if (!PyErr_Occurred())
                    PyErr_SetString(PyExc_TypeError, "the memo of a deep copy has no Value for a Value");
                twin->count = i;
                Py_DECREF(twin);
                return NULL;
            }
        }
        set_operand(into, i, operand, from.kinds[i] & NODE, from.operands[i].constant, from.kinds[i] & LOCAL,
                    from.local[i]);
        twin->count = i + 1;
    }
    return twin;
}

static bool copy_into(Value *node, PyObject *memo)
{
    Value *twin = NULL;
    PyObject *key = PyLong_FromVoidPtr(node);
    int known = key ? PyDict_Contains(memo, key) : -1;
    bool fine = known == 1 || (known == 0 && (twin = copy_with(node, memo)) && !PyDict_SetItem(memo, key, (PyObject *)twin));
    Py_XDECREF(key);
    Py_XDECREF(twin);
    return fine;
}

static PyObject *native_copy_graph(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 2 || !is_value(args[0]) || !PyDict_CheckExact(args[1]))
        return NOT_MINE;
    Sweep sweep = new_sweep();
    bool exact;
    PyObject *result = NULL;
    if (find_exact_order(&sweep, args[0], &exact)) {
        Py_ssize_t i = 0;
        while (exact && i < sweep.count && copy_into(sweep.order[i], args[1]))
            i++;
        if (!exact) {
            result = NOT_MINE;
        } else if (i == sweep.count) {
            PyObject *key = PyLong_FromVoidPtr(args[0]);
            result = key ? Py_XNewRef(PyDict_GetItemWithError(args[1], key)) : NULL;
            Py_XDECREF(key);
        }
    }
    end(&sweep);
    return result;
}

static PyObject *operands_by_place(const Sweep *sweep, Value *node, const Py_ssize_t *places)
{
    Slots slots = slots_of(node);
    PyObject *list = PyList_New(node->count);
    for (uint32_t i = 0; list && i < node->count; i++) {
        PyObject *item = slots.kinds[i] & NODE
                             ? PyLong_FromSsize_t(places[place_of(sweep, slots.operands[i].node)])
                             : PyFloat_FromDouble(slots.operands[i].constant);
        if (item)
            PyList_SET_ITEM(list, i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *record_of(const Sweep *sweep, Value *node, const Py_ssize_t *places)
{
    PyObject *operands = operands_by_place(sweep, node, places), *local = get_local_grads((PyObject *)node, NULL);
    PyObject *result = NULL;
    if (operands && local)
        result = Py_BuildValue("(dOOOOdO)", node->data, or_none(node->rule), operands, local, or_none(node->label),
                               node->grad, or_none(node->source));
    Py_XDECREF(operands);
    Py_XDECREF(local);
    return result;
}

/* Fill two lists: the leaves, and a record for each other node. In the records, places count the leaves first. */
static bool fill_records(Sweep *sweep, PyObject *leaves, PyObject *records)
{
    Py_ssize_t *places = PyMem_Malloc((size_t)sweep->count * sizeof(Py_ssize_t)), leaf_count = 0, inner_count = 0;
    bool fine = places || PyErr_NoMemory();
    mark_places(sweep);
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++) {
        bool leaf = !sweep->order[i]->count;
        places[i] = leaf ? leaf_count++ : inner_count++;
        fine = !leaf || PyList_Append(leaves, (PyObject *)sweep->order[i]) == 0;
    }
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++)
        places[i] += sweep->order[i]->count ? leaf_count : 0;
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++) {
        if (!sweep->order[i]->count)
            continue;
        PyObject *fields = record_of(sweep, sweep->order[i], places);
        fine = fields && PyList_Append(records, fields) == 0;
        Py_XDECREF(fields);
    }
    PyMem_Free(places);
    return fine;
}

/* The garbage collector, which may run Python code, is off until the marks have been read. */
static PyObject *native_reduce_graph(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 1 || !Py_IS_TYPE(args[0], ValueType) || !((Value *)args[0])->count)
        return NOT_MINE;
    Sweep sweep = new_sweep();
    bool exact;
    PyObject *result = NULL, *restore = look_up(PyFunction_GetGlobals(self->python), "restore_graph");
    int collecting = PyGC_Disable();
    if (restore && find_exact_order(&sweep, args[0], &exact)) {
        PyObject *leaves = exact ? PyList_New(0) : NULL, *records = exact ? PyList_New(0) : NULL;
        if (!exact)
            result = NOT_MINE;
        else if (leaves && records && fill_records(&sweep, leaves, records))
            result = Py_BuildValue("(O(OOO))", restore, ValueType, leaves, records);
        Py_XDECREF(leaves);
        Py_XDECREF(records);
    }
    if (collecting)
        PyGC_Enable();
    end(&sweep);
    return result;
}

static Value *restore_record(PyObject *fields, Value *const *nodes, Py_ssize_t known)
{
    if (!PyTuple_CheckExact(fields) || PyTuple_GET_SIZE(fields) != 7 || !PyList_CheckExact(PyTuple_GET_ITEM(fields, 2)))
        return NULL;
    double data, grad;
    PyObject **field = ((PyTupleObject *)fields)->ob_item, *places = field[2];
    if (take(field[0], &data) || take(field[5], &grad) || !PyTuple_CheckExact(field[3]) || !is_text(field[4])
        || !is_text(field[6]) || !Py_IS_TYPE(field[1], Py_TYPE(rules[0])))
        return NULL;
    PyObject *operands = PyTuple_New(PyList_GET_SIZE(places));
    for (Py_ssize_t i = 0; operands && i < PyList_GET_SIZE(places); i++) {
        PyObject *item = PyList_GET_ITEM(places, i);
        Py_ssize_t at = PyLong_CheckExact(item) ? PyLong_AsSsize_t(item) : PyFloat_CheckExact(item) ? known : -1;
        if (at < 0 || (at >= known && !PyFloat_CheckExact(item)))
            Py_CLEAR(operands);
        else
            PyTuple_SET_ITEM(operands, i, Py_NewRef(at < known ? (PyObject *)nodes[at] : item));
    }
    Value *node = operands ? new_node(data, NULL) : NULL;
    if (node) {
        node->grad = grad;
        node->label = field[4] == Py_None ? NULL : Py_NewRef(field[4]);
        node->source = field[6] == Py_None ? NULL : Py_NewRef(field[6]);
        if (!fill(node, field[1], operands, field[3]))
            Py_CLEAR(node);
    }
    Py_XDECREF(operands);
    return node;
}

static PyObject *native_restore_graph(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 3 || args[0] != (PyObject *)ValueType || !PyList_CheckExact(args[1])
        || !PyList_CheckExact(args[2]) || !PyList_GET_SIZE(args[2])
        || !all_values(((PyListObject *)args[1])->ob_item, PyList_GET_SIZE(args[1])))
        return NOT_MINE;
    Py_ssize_t known = PyList_GET_SIZE(args[1]), all = known + PyList_GET_SIZE(args[2]), made = known;
    Value **nodes = PyMem_Malloc((size_t)all * sizeof(Value *));
    if (!nodes)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < known; i++)
        nodes[i] = (Value *)Py_NewRef(PyList_GET_ITEM(args[1], i));
    while (made < all && (nodes[made] = restore_record(PyList_GET_ITEM(args[2], made - known), nodes, made)))
        made++;
    PyObject *result = made == all ? Py_NewRef((PyObject *)nodes[all - 1]) : NOT_MINE;
    PyErr_Clear(); /* the Python function raises a clearer error for a wrong record */
    while (made)
        Py_DECREF(nodes[--made]);
    PyMem_Free(nodes);
    return result;
}
