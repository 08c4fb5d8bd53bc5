/* Numbers from operands. */

static PyObject *apply_rule_name;

/* Whether a subclass of float is just a number, as numpy.float64 is. The last such class is remembered. This looks up the
type directly, because a metaclass could run Python code, and none may run here. */
static bool is_plain(PyTypeObject *type)
{
    static PyTypeObject *found;
    if (type != found && !_PyType_Lookup(type, apply_rule_name))
        Py_XSETREF(found, (PyTypeObject *)Py_NewRef((PyObject *)type));
    return type == found;
}

/* Read an operand: NODE or 0 (a constant) with its number, or OTHER if Python code must read it. No Python code runs here,
because it could change the list that holds the operand. So a very large int is OTHER: its conversion may raise. */
static inline int take(PyObject *object, double *number)
{
    if (Py_IS_TYPE(object, ValueType)) {
        *number = ((Value *)object)->data;
        return NODE;
    }
    if (PyFloat_CheckExact(object)) {
        *number = PyFloat_AS_DOUBLE(object);
        return 0;
    }
    if (is_tracer(object))
        return OTHER;
    if (PyFloat_Check(object) && is_plain(Py_TYPE(object))) {
        *number = PyFloat_AS_DOUBLE(object);
        return 0;
    }
    if (PyLong_CheckExact(object)) {
        int overflow;
        *number = (double)PyLong_AsLongLongAndOverflow(object, &overflow);
        return overflow ? OTHER : 0;
    }
    return OTHER;
}

static bool to_double(PyObject *object, double *number)
{
    if (take(object, number) == 0)
        return true;
    PyObject *converted = PyObject_CallOneArg(to_float, object);
    if (!converted)
        return false;
    *number = PyFloat_AsDouble(converted);
    Py_DECREF(converted);
    return *number != -1.0 || !PyErr_Occurred();
}

/* The value of a row that is written only in Python. After an error nothing more is called; the caller checks for it. */
static double from_python(int rule, int count, const double *x)
{
    PyObject *arguments[2] = {NULL, NULL}, *result = NULL;
    if (PyErr_Occurred())
        return NAN;
    double value = NAN;
    for (int i = 0; i < count; i++)
        if (!(arguments[i] = PyFloat_FromDouble(x[i])))
            count = 0;
    if (count && (result = PyObject_Vectorcall(row_values[rule], arguments, (size_t)count, NULL))) {
        value = PyFloat_AsDouble(result);
        Py_DECREF(result);
    }
    Py_XDECREF(arguments[0]);
    Py_XDECREF(arguments[1]);
    return value;
}

/* The same for a row of any number of operands, which takes a list. */
static double many_from_python(int rule, const double *x, Py_ssize_t n)
{
    double value = NAN;
    PyObject *list = PyErr_Occurred() ? NULL : PyList_New(n), *result = NULL;
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *number = PyFloat_FromDouble(x[i]);
        if (number)
            PyList_SET_ITEM(list, i, number);
        else
            Py_CLEAR(list);
    }
    if (list && (result = PyObject_CallOneArg(row_values[rule], list)))
        value = PyFloat_AsDouble(result);
    Py_XDECREF(list);
    Py_XDECREF(result);
    return value;
}
