/* Making a Value from Python: `Value(...)`, `_node` and `_fill`. */

static PyObject *python_init; /* `__init__` of the class in value.py */

static inline bool is_text(PyObject *object) { return object == Py_None || PyUnicode_CheckExact(object); }

static void set_field(PyObject **field, PyObject *object)
{
    PyObject *before = *field;
    *field = object == Py_None ? NULL : Py_NewRef(object);
    Py_XDECREF(before);
}

/* A label or a source line. Python code deals with anything other than text and None. */
static PyObject *as_text(PyObject *given, const char *field)
{
    return is_text(given) ? Py_NewRef(given) : PyObject_CallFunction(to_text, "Os", given, field);
}

/* Give a node its rule and operands; it must have none yet. */
static bool fill(Value *node, PyObject *rule, PyObject *operands, PyObject *local_grads)
{
    Slots slots;
    Py_ssize_t n = PyTuple_GET_SIZE(operands);
    if (n && is_tracer((PyObject *)node)) {
        PyErr_SetString(PyExc_TypeError, "a tracer has no operands");
        return false;
    }
    if (n != PyTuple_GET_SIZE(local_grads)) {
        PyErr_Format(PyExc_ValueError, "%zd operands need as many local derivatives, not %zd", n,
                     PyTuple_GET_SIZE(local_grads));
        return false;
    }
    Scratch scratch;
    if (!open_scratch(&scratch, n))
        return false;
    bool fine = true;
    for (Py_ssize_t i = 0; fine && i < n; i++) {
        PyObject *operand = PyTuple_GET_ITEM(operands, i), *local = PyTuple_GET_ITEM(local_grads, i);
        scratch.kinds[i] = is_value(operand) ? NODE : 0;
        scratch.selected[i] = local != Py_None;
        fine = (scratch.kinds[i] || to_double(operand, &scratch.x[i]))
               && (!scratch.selected[i] || to_double(local, &scratch.d[i]));
    }
    if (fine && (node->rule || node->count)) { /* the Python code that converted a number may have filled the node */
        PyErr_SetString(PyExc_AttributeError, "the Value is computed already: make a new Value");
        fine = false;
    }
    fine = fine && (!n || make_room(node, n, &slots));
    for (Py_ssize_t i = 0; fine && i < n; i++)
        set_operand(slots, i, PyTuple_GET_ITEM(operands, i), scratch.kinds[i], scratch.x[i], scratch.selected[i],
                    scratch.selected[i] ? scratch.d[i] : 0.0);
    close_scratch(&scratch);
    if (fine) {
        node->count = (uint32_t)n;
        set_field(&node->rule, rule);
    }
    return fine;
}

/* _fill(node, data, op, operands, local_grads, label, grad, source) */
static PyObject *value_fill(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    double data, grad;
    if (count != 8 || !is_value(args[0]) || !PyTuple_CheckExact(args[3]) || !PyTuple_CheckExact(args[4])) {
        PyErr_SetString(PyExc_TypeError, "_fill takes a Value, data, op, two tuples, label, grad and source");
        return NULL;
    }
    Value *node = (Value *)args[0];
    if (node->rule || node->count) {
        PyObject *shown = PyObject_CallMethod(args[0], "describe", NULL);
        if (shown)
            PyErr_Format(PyExc_AttributeError, "%U is computed already: make a new Value", shown);
        Py_XDECREF(shown);
        return NULL;
    }
    PyObject *label = as_text(args[5], "label"), *source = label ? as_text(args[7], "source") : NULL;
    bool fine = source && to_double(args[1], &data) && to_double(args[6], &grad) && fill(node, args[2], args[3], args[4]);
    if (fine) {
        node->data = data;
        node->grad = grad;
        set_field(&node->label, label);
        set_field(&node->source, source);
    }
    Py_XDECREF(label);
    Py_XDECREF(source);
    return fine && (!capturing() || noted(node)) ? Py_NewRef(args[0]) : NULL;
}

/* _node(data, rule, operands, local_grads) */
static PyObject *value_node(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    double data;
    if (count != 4 || !PyTuple_CheckExact(args[2]) || !PyTuple_CheckExact(args[3])) {
        PyErr_SetString(PyExc_TypeError, "_node takes data, a rule and two tuples");
        return NULL;
    }
    if (!to_double(args[0], &data))
        return NULL;
    Value *node = new_node(data, NULL);
    if (node && !fill(node, args[1], args[2], args[3]))
        Py_CLEAR(node);
    return node ? finish(node) : NULL;
}

static PyObject *value_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *names)
{
    double data;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    bool label = names && PyTuple_GET_SIZE(names) == 1 && count == 1
                 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "label") == 0;
    bool simple = (label || !names) && (count == 1 || count == 2) && take(args[0], &data) == 0;
    simple = simple && (!(label || count == 2) || is_text(args[1]));
    Value *node = new_node(simple ? data : 0.0, NULL);
    if (node && simple && (label || count == 2))
        node->label = args[1] == Py_None ? NULL : Py_NewRef(args[1]);
    if (node && simple && capturing() && !noted(node))
        Py_CLEAR(node);
    if (simple || !node)
        return (PyObject *)node;
    PyObject **all = PyMem_Malloc((size_t)(count + 1 + (names ? PyTuple_GET_SIZE(names) : 0)) * sizeof(PyObject *));
    PyObject *done = NULL;
    if (all) {
        all[0] = (PyObject *)node;
        memcpy(all + 1, args, (size_t)(count + (names ? PyTuple_GET_SIZE(names) : 0)) * sizeof(PyObject *));
        done = PyObject_Vectorcall(python_init, all, (size_t)count + 1, names);
        PyMem_Free(all);
    } else {
        PyErr_NoMemory();
    }
    if (!done)
        Py_CLEAR(node);
    Py_XDECREF(done);
    return (PyObject *)node;
}

static PyObject *value_alloc(PyTypeObject *type, Py_ssize_t count)
{
    return type == ValueType ? (PyObject *)new_node(0.0, NULL) : PyType_GenericAlloc(type, count);
}

static PyObject *value_new(PyTypeObject *type, PyObject *args, PyObject *names) { return type->tp_alloc(type, 0); }
