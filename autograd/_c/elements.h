/* Many numbers at once: tracers of the elements of an array, and what a list holds. The definitions are in
compiler/capture/tracer.py and watched.py, and in tree.py. */

/* `Traced.elements`: the tracers of the first elements of an array. A trace does not refer to them, so the collector need
not visit them, and is not started by them. */
static PyObject *native_traced_elements(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 4 || args[0] != (PyObject *)traced_type || !PyObject_TypeCheck(args[1], trace_type)
        || !PyLong_CheckExact(args[2]) || !PyLong_CheckExact(args[3]))
        return NOT_MINE;
    Py_ssize_t size = PyLong_AsSsize_t(args[3]);
    PyObject *list = size < 0 ? NULL : PyList_New(size);
    if (!list)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    int collecting = PyGC_Disable();
    for (Py_ssize_t k = 0; k < size; k++) {
        PyObject *offset = PyLong_FromSsize_t(k), *node = offset ? new_traced(args[1], minus_one, args[2], offset) : NULL;
        Py_XDECREF(offset);
        if (!node) {
            Py_CLEAR(list);
            break;
        }
        if (PyObject_IS_GC(node))
            PyObject_GC_UnTrack(node);
        PyList_SET_ITEM(list, k, node);
    }
    if (collecting)
        PyGC_Enable();
    return list;
}

/* The offset of an element of the same array as the first; -1 for anything else. */
static Py_ssize_t offset_beside(PyObject *first, PyObject *other)
{
    if (!Py_IS_TYPE(other, traced_type) || read_slot(other, slots_at.builder) != read_slot(first, slots_at.builder))
        return -1;
    PyObject *array = read_slot(other, slots_at.array), *offset = read_slot(other, slots_at.offset);
    if (!is_place(array) || !is_place(offset)
        || PyLong_AsSsize_t(array) != PyLong_AsSsize_t(read_slot(first, slots_at.array)))
        return -1;
    return PyLong_AsSsize_t(offset);
}

/* `evenly_apart`: the offset of the first and the distance of some elements of one array, or None. */
static PyObject *native_evenly_apart(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 3 || !traced_type || !PyLong_CheckExact(args[1]) || !PyLong_CheckExact(args[2])
        || !(PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0])))
        return NOT_MINE;
    Py_ssize_t start = PyLong_AsSsize_t(args[1]), stop = PyLong_AsSsize_t(args[2]), size = PySequence_Fast_GET_SIZE(args[0]);
    PyObject *const *items = PySequence_Fast_ITEMS(args[0]);
    if (start < 0 || stop > size || start >= stop)
        return start >= 0 && stop <= size ? Py_NewRef(Py_None) : NOT_MINE;
    PyObject *first = items[start];
    if (!Py_IS_TYPE(first, traced_type) || !is_place(read_slot(first, slots_at.array)))
        return Py_NewRef(Py_None);
    Py_ssize_t offset = offset_beside(first, first), distance = 1;
    for (Py_ssize_t k = start + 1; k < stop; k++) {
        Py_ssize_t found = offset_beside(first, items[k]);
        if (k == start + 1)
            distance = found - offset;
        if (found < 0 || distance == 0 || found != offset + (k - start) * distance)
            return Py_NewRef(Py_None);
    }
    return Py_BuildValue("nn", offset, distance);
}

/* `innermost`: the program of tracers, Values and floats among which all tracers are of the trace in force. */
static PyObject *native_innermost(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 1 || !(PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0])))
        return NOT_MINE;
    PyObject *trace = trace_in_force(), *const *items = PySequence_Fast_ITEMS(args[0]);
    if (!trace)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    for (Py_ssize_t k = 0, size = PySequence_Fast_GET_SIZE(args[0]); k < size; k++) {
        bool traced = Py_IS_TYPE(items[k], traced_type);
        if (traced ? read_slot(items[k], slots_at.builder) != trace
                   : !PyFloat_CheckExact(items[k]) && !Py_IS_TYPE(items[k], ValueType)) {
            Py_DECREF(trace);
            return NOT_MINE;
        }
    }
    return trace;
}

/* `only_floats` and `only_leaves` of tree.py, of lists and tuples. */
static PyObject *native_only(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 1 || !(PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0])))
        return NOT_MINE;
    PyObject *const *items = PySequence_Fast_ITEMS(args[0]);
    for (Py_ssize_t k = 0, size = PySequence_Fast_GET_SIZE(args[0]); k < size; k++)
        if (!PyFloat_CheckExact(items[k]) && !(self->rule && PyObject_TypeCheck(items[k], ValueType)))
            Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}
