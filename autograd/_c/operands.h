/* A node's operands and local derivatives as Python sees them: tuples. */

static PyObject *or_none(PyObject *object) { return object ? object : Py_None; }

static PyObject *get_operands(PyObject *self, void *unused)
{
    Value *node = (Value *)self;
    Slots slots = slots_of(node);
    PyObject *tuple = PyTuple_New(node->count);
    for (uint32_t i = 0; tuple && i < node->count; i++) {
        PyObject *item = slots.kinds[i] & NODE ? Py_NewRef((PyObject *)slots.operands[i].node)
                                               : PyFloat_FromDouble(slots.operands[i].constant);
        if (item)
            PyTuple_SET_ITEM(tuple, i, item);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *get_parents(PyObject *self, void *unused)
{
    Value *node = (Value *)self;
    Slots slots = slots_of(node);
    Py_ssize_t count = 0, at = 0;
    for (uint32_t i = 0; i < node->count; i++)
        count += slots.kinds[i] & NODE;
    PyObject *tuple = PyTuple_New(count);
    for (uint32_t i = 0; tuple && i < node->count; i++)
        if (slots.kinds[i] & NODE)
            PyTuple_SET_ITEM(tuple, at++, Py_NewRef((PyObject *)slots.operands[i].node));
    return tuple;
}

static PyObject *get_local_grads(PyObject *self, void *unused)
{
    Value *node = (Value *)self;
    Slots slots = slots_of(node);
    PyObject *tuple = PyTuple_New(node->count);
    for (uint32_t i = 0; tuple && i < node->count; i++) {
        PyObject *item = slots.kinds[i] & LOCAL ? PyFloat_FromDouble(slots.local[i]) : Py_NewRef(Py_None);
        if (item)
            PyTuple_SET_ITEM(tuple, i, item);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}
