/* Many numbers at once: tracers of the elements of an array, and what a list holds. The definitions are in
compiler/capture/tracer.py and watched.py, and in tree.py. */

/* `Traced.elements`: the tracers of the first elements of an array. */
static PyObject *native_traced_elements(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t array, size;
    if (!are_of_array(args, count, names, &array, &size))
        return NOT_MINE;
    PyObject *list = PyList_New(size);
    for (Py_ssize_t k = 0; list && k < size; k++) {
        PyObject *node = new_tracer(args[1], NULL, array, k);
        if (node)
            PyList_SET_ITEM(list, k, node);
        else
            Py_CLEAR(list);
    }
    return list;
}

/* The offset of an element of the same array as the first; -1 for anything else. */
static Py_ssize_t offset_beside(PyObject *first, PyObject *other)
{
    if (!is_tracer(other) || builder_of(other) != builder_of(first) || tracer_of(other)->array != tracer_of(first)->array)
        return -1;
    return tracer_of(other)->offset;
}

/* `evenly_apart`: the offset of the first and the distance of some elements of one array, or None. */
static PyObject *native_evenly_apart(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 3 || !PyLong_CheckExact(args[1]) || !PyLong_CheckExact(args[2])
        || !(PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0])))
        return NOT_MINE;
    Py_ssize_t start = PyLong_AsSsize_t(args[1]), stop = PyLong_AsSsize_t(args[2]), size = PySequence_Fast_GET_SIZE(args[0]);
    PyObject *const *items = PySequence_Fast_ITEMS(args[0]);
    if (start < 0 || stop > size || start >= stop)
        return start >= 0 && stop <= size ? Py_NewRef(Py_None) : NOT_MINE;
    PyObject *first = items[start];
    if (!is_tracer(first) || !is_element(first))
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

/* `Trace.places`: where the operands are, in a tuple, which Python code cannot change meanwhile. */
static PyObject *native_places(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 2 || !is_set_up || !Py_IS_TYPE(args[0], trace_type) || !PyTuple_CheckExact(args[1]))
        return NOT_MINE;
    PyObject *const *items = ((PyTupleObject *)args[1])->ob_item;
    Py_ssize_t size = PyTuple_GET_SIZE(args[1]);
    for (Py_ssize_t k = 0; k < size; k++)
        if (!is_for(args[0], items[k]))
            return NOT_MINE;
    return places_in_program(args[0], items, size);
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
        if (is_tracer(items[k]) ? builder_of(items[k]) != trace
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
