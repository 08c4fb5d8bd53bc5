/* Python functions with their common case in C: `fast` in native.py makes them. */

typedef struct Native Native;
typedef PyObject *(*Implementation)(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

struct Native {
    PyObject_HEAD
    vectorcallfunc call;
    Implementation implementation;
    PyObject *python;
    int rule;
};

static PyObject *native_call(PyObject *callable, PyObject *const *args, size_t count, PyObject *names)
{
    Native *self = (Native *)callable;
    PyObject *result = self->implementation(self, args, PyVectorcall_NARGS(count), names);
    return result == NOT_MINE ? PyObject_Vectorcall(self->python, args, count, names) : result;
}

static PyObject *native_get(PyObject *self, PyObject *object, PyObject *type)
{
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

static void native_dealloc(PyObject *self)
{
    Py_DECREF(((Native *)self)->python);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *native_repr(PyObject *self) { return PyObject_Repr(((Native *)self)->python); }

static PyObject *native_getattro(PyObject *self, PyObject *name)
{
    PyObject *found = PyObject_GenericGetAttr(self, name);
    if (found || !PyErr_ExceptionMatches(PyExc_AttributeError))
        return found;
    PyErr_Clear();
    return PyObject_GetAttr(((Native *)self)->python, name);
}

static PyObject *native_attribute(PyObject *self, void *name)
{
    return PyObject_GetAttrString(((Native *)self)->python, name);
}

static PyObject *native_wrapped(PyObject *self, void *unused) { return Py_NewRef(((Native *)self)->python); }
static PyObject *native_reduce(PyObject *self, PyObject *unused) { return native_attribute(self, "__qualname__"); }

static PyGetSetDef native_getset[] = {
    {"__doc__", native_attribute, NULL, NULL, "__doc__"},
    {"__name__", native_attribute, NULL, NULL, "__name__"},
    {"__qualname__", native_attribute, NULL, NULL, "__qualname__"},
    {"__module__", native_attribute, NULL, NULL, "__module__"},
    {"__wrapped__", native_wrapped, NULL, "The Python function.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef native_methods[] = {
    {"__reduce__", native_reduce, METH_NOARGS, "Pickled by name, as functions are."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject NativeType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "autograd._value.Native",
    .tp_basicsize = sizeof(Native),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_vectorcall_offset = offsetof(Native, call),
    .tp_call = PyVectorcall_Call,
    .tp_dealloc = native_dealloc,
    .tp_repr = native_repr,
    .tp_getattro = native_getattro,
    .tp_descr_get = native_get,
    .tp_getset = native_getset,
    .tp_methods = native_methods,
};

/* ---- rows of the table as functions and methods ---- */

/* A row with a fixed number of operands, as a function or a method. */
static PyObject *native_row(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    double x[3];
    int kinds[3], nodes = 0;
    if (names || count != ROWS[self->rule].arity)
        return NOT_MINE;
    for (Py_ssize_t i = 0; i < count; i++) {
        if ((kinds[i] = take(args[i], &x[i])) == OTHER)
            return capture_row(self->rule, args, count);
        nodes += kinds[i];
    }
    if (nodes)
        return make_node(self->rule, (int)count, args, kinds, x);
    double y = value_of(self->rule, x);
    return ROWS[self->rule].may_raise && PyErr_Occurred() ? NULL : PyFloat_FromDouble(y);
}

/* The n-ary functions of math.py: they take one iterable or, if `spread`, also the operands one by one. */
static PyObject *call_many(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names, bool spread)
{
    Row row = {.items = args, .count = count};
    if (names || (count != 1 && !spread))
        return NOT_MINE;
    int opened = count == 1 ? open_row(args[0], &row) : 1;
    if (opened > 0 && ROWS[self->rule].may_raise && count == 1 && !keep_row(&row))
        opened = -1;
    PyObject *result = opened < 0 ? NULL : opened ? apply_to_rows(self->rule, &row, 1) : NOT_MINE;
    if (result == NOT_MINE && count == 1 && row.kept) /* the iterator is used up: its items are in the list */
        result = PyObject_CallOneArg(self->python, row.kept);
    if (count == 1)
        close_row(&row);
    return result;
}

static PyObject *native_of_iterable(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_many(self, args, count, names, false);
}

static PyObject *native_of_operands(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_many(self, args, count, names, true);
}

static PyObject *native_dot(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Row rows[2];
    if (names || count != 2 || PyIter_Check(args[0]) || PyIter_Check(args[1]))
        return NOT_MINE;
    PyObject *result = NOT_MINE;
    if (open_row(args[0], &rows[0]) > 0) {
        int opened = open_row(args[1], &rows[1]);
        if (PyList_CheckExact(args[0])) /* opening the other may have run Python code, which may have changed the list */
            open_row(args[0], &rows[0]);
        if (opened > 0 && rows[0].count == rows[1].count)
            result = apply_to_rows(self->rule, rows, 2);
        close_row(&rows[1]);
    }
    close_row(&rows[0]);
    return result;
}

/* `Value.apply_rule`: a row of the table on numbers and Values, instances of subclasses included. */
static PyObject *native_apply_rule(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 3 || !(PyTuple_CheckExact(args[2]) || PyList_CheckExact(args[2])))
        return NOT_MINE;
    int rule = code_of(args[1]);
    if (rule < 0)
        return NOT_MINE;
    Row row;
    open_row(args[2], &row);
    if (ROWS[rule].arity < 0)
        return ROWS[rule].may_raise ? NOT_MINE : apply_to_rows(rule, &row, 1);
    double x[3];
    int kinds[3];
    if (row.count != ROWS[rule].arity)
        return NOT_MINE;
    for (Py_ssize_t i = 0; i < row.count; i++) {
        kinds[i] = take(row.items[i], &x[i]);
        if (kinds[i] == OTHER && is_value(row.items[i])) {
            kinds[i] = NODE;
            x[i] = ((Value *)row.items[i])->data;
        } else if (kinds[i] == OTHER) {
            return NOT_MINE;
        }
    }
    return make_node(rule, (int)row.count, row.items, kinds, x);
}

/* `Traced.apply_rule`. */
static PyObject *native_apply_traced(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 3 || args[0] != (PyObject *)TracedType || !PyTuple_CheckExact(args[2]))
        return NOT_MINE;
    int rule = code_of(args[1]);
    return rule < 0 ? NOT_MINE : capture_row(rule, ((PyTupleObject *)args[2])->ob_item, PyTuple_GET_SIZE(args[2]));
}

/* `Traced.of`: the tracer of a value. */
static PyObject *native_traced_of(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    bool mine = !names && count == 3 && args[0] == (PyObject *)TracedType && is_set_up
                && PyObject_TypeCheck(args[1], trace_type) && PyLong_CheckExact(args[2]);
    return mine ? new_tracer(args[1], args[2], NO_ARRAY, 0) : NOT_MINE;
}

/* Whether the arguments are a class, a trace, an array and another number: then the last two are read. */
static bool are_of_array(PyObject *const *args, Py_ssize_t count, PyObject *names, Py_ssize_t *array, Py_ssize_t *last)
{
    if (names || count != 4 || args[0] != (PyObject *)TracedType || !is_set_up || !PyObject_TypeCheck(args[1], trace_type)
        || !PyLong_CheckExact(args[2]) || !PyLong_CheckExact(args[3]))
        return false;
    *array = PyLong_AsSsize_t(args[2]);
    *last = PyLong_AsSsize_t(args[3]);
    PyErr_Clear();
    return *array >= 0 && *last >= 0;
}

/* `Traced.element`: the tracer of an element of an array. */
static PyObject *native_traced_element(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t array, offset;
    return are_of_array(args, count, names, &array, &offset) ? new_tracer(args[1], NULL, array, offset) : NOT_MINE;
}

static bool all_values(PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_value(objects[i]))
            return false;
    return true;
}
