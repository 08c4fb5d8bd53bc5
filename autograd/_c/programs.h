/* What looks through all the code of a program, which is long before loops are found in it. The definitions are in
ir/rewrite.py. */

/* An instruction, borrowed; NULL without an error if it is none. */
static PyObject *instruction_in(PyObject *code, Py_ssize_t at)
{
    PyObject *instruction = PyList_GET_ITEM(code, at);
    bool fine = PyTuple_Check(instruction) && PyTuple_GET_SIZE(instruction) == 3
                && PyUnicode_CheckExact(PyTuple_GET_ITEM(instruction, 0))
                && PyTuple_CheckExact(PyTuple_GET_ITEM(instruction, 1));
    return fine ? instruction : NULL;
}

/* `occurrences`: where an operation stands in code, from some place on. */
static PyObject *native_occurrences(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 3 || !PyList_CheckExact(args[0]) || !PyUnicode_CheckExact(args[1]) || !PyLong_CheckExact(args[2]))
        return NOT_MINE;
    PyObject *found = PyList_New(0), *last = NULL; /* the operation that was compared last, and was another */
    Py_ssize_t first = PyLong_AsSsize_t(args[2]);
    if (first < 0 || !found) {
        Py_XDECREF(found);
        return PyErr_Occurred() ? NULL : NOT_MINE;
    }
    for (Py_ssize_t at = first; at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *instruction = instruction_in(args[0], at), *op = instruction ? PyTuple_GET_ITEM(instruction, 0) : NULL;
        if (!op) {
            Py_DECREF(found);
            return NOT_MINE;
        }
        if (op == last)
            continue;
        if (op != args[1] && PyUnicode_Compare(op, args[1]) != 0) {
            last = op;
            continue;
        }
        PyObject *number = PyLong_FromSsize_t(at);
        int status = number ? PyList_Append(found, number) : -1;
        Py_XDECREF(number);
        if (status < 0) {
            Py_DECREF(found);
            return NULL;
        }
    }
    return found;
}

/* Mark the values of a set, of which those below 0 stay what they are; the end of the others, or -1 after an error. */
static Py_ssize_t mark_values(PyObject *values, char *marks, Py_ssize_t size)
{
    PyObject *value;
    Py_ssize_t position = 0, end = 0;
    Py_hash_t hash;
    while (_PySet_NextEntry(values, &position, &value, &hash)) {
        Py_ssize_t at = PyLong_AsSsize_t(value);
        if (at == -1 && PyErr_Occurred())
            return -1;
        if (at >= size) {
            PyErr_SetString(PyExc_IndexError, "a value that is wanted is not in the code");
            return -1;
        }
        if (at >= 0)
            marks[at] = 1;
        end = at >= end ? at + 1 : end;
    }
    return end;
}

/* Mark what marked values depend on; false after an error. */
static bool mark_needed(PyObject *code, char *marks, Py_ssize_t first, Py_ssize_t end)
{
    for (Py_ssize_t at = end - 1; at >= first; at--) {
        PyObject *instruction = marks[at] ? instruction_in(code, at) : Py_None;
        PyObject *operands = instruction && instruction != Py_None ? PyTuple_GET_ITEM(instruction, 1) : nothing;
        for (Py_ssize_t i = 0; instruction && i < PyTuple_GET_SIZE(operands); i++) {
            Py_ssize_t o = PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i));
            if (o < 0 || o >= at)
                instruction = NULL;
            else
                marks[o] = 1;
        }
        if (!instruction) {
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_ValueError, "value %zd of the code is no instruction on earlier ones", at);
            return false;
        }
    }
    return true;
}

/* `needed`: the values from some place on that others depend on. */
static PyObject *native_needed(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 3 || !PyList_CheckExact(args[0]) || !PyLong_CheckExact(args[2]))
        return NOT_MINE;
    PyObject *found = PySet_New(args[1]);
    Py_ssize_t first = PyLong_AsSsize_t(args[2]), size = PyList_GET_SIZE(args[0]);
    char *marks = found && !PyErr_Occurred() ? PyMem_Calloc((size_t)size + 1, 1) : NULL;
    if (!marks && !PyErr_Occurred())
        PyErr_NoMemory();
    Py_ssize_t end = marks ? mark_values(found, marks, size) : -1;
    bool fine = end >= 0 && mark_needed(args[0], marks, first < 0 ? 0 : first, end);
    for (Py_ssize_t at = 0; fine && at < end; at++) {
        PyObject *value = marks[at] ? PyLong_FromSsize_t(at) : NULL;
        fine = !marks[at] || (value && PySet_Add(found, value) == 0);
        Py_XDECREF(value);
    }
    PyMem_Free(marks);
    if (!fine)
        Py_CLEAR(found);
    return found;
}
