/* What happens to a new node in the current mode and during a capture. `_node` in value.py defines it. */

/* Whether the compiler is capturing a program, in any thread: then Python code decides what a Value's number is. */
static inline bool capturing(void) { return PyList_GET_SIZE(captures) > 0; }

static int is_set(PyObject *mode, const char *name)
{
    PyObject *attribute = PyObject_GetAttrString(mode, name);
    if (!attribute)
        return -1;
    int set = PyObject_IsTrue(attribute);
    Py_DECREF(attribute);
    return set;
}

static bool collect(Value *node, PyObject *mode)
{
    PyObject *made = PyObject_GetAttrString(mode, "made"), *added = NULL;
    if (!made)
        return false;
    if (PySet_CheckExact(made) || made == Py_None) {
        bool fine = made == Py_None || PySet_Add(made, (PyObject *)node) == 0;
        Py_DECREF(made);
        return fine;
    }
    added = PyObject_CallMethod(made, "add", "O", node);
    Py_DECREF(made);
    Py_XDECREF(added);
    return added != NULL;
}

static bool adapt(Value *node, PyObject *mode)
{
    int sources = is_set(mode, "sources"), anomaly = 0, recording = 0;
    if (sources < 0 || (sources && !(node->source = PyObject_CallNoArgs(caller))))
        return false;
    if ((anomaly = is_set(mode, "anomaly")) < 0)
        return false;
    if (anomaly && !isfinite(node->data)) {
        Py_XDECREF(PyObject_CallOneArg(raise_made, (PyObject *)node));
        return false;
    }
    if ((recording = is_set(mode, "recording")) < 0)
        return false;
    if (recording)
        return collect(node, mode);
    Value *dead = NULL;
    unlink_operands(node, &dead);
    Py_CLEAR(node->rule);
    bury_all(dead);
    return true;
}

/* Report a node that was made while another thread captures a program: it must not become a part of that program. */
static bool noted(Value *node)
{
    PyObject *done = PyObject_CallOneArg(note_made, (PyObject *)node);
    Py_XDECREF(done);
    return done != NULL;
}

/* What the program being captured has in place of this node. */
static PyObject *in_program(const Value *node, PyObject *trace)
{
    PyObject *operands = get_operands((PyObject *)node, NULL), *traced = NULL;
    int rule = code_of(or_none(node->rule));
    if (operands && rule >= 0)
        traced = capture_row(rule, ((PyTupleObject *)operands)->ob_item, PyTuple_GET_SIZE(operands));
    if (operands && (rule < 0 || traced == NOT_MINE))
        traced = PyObject_CallMethod(trace, "apply_rule", "OO", node->rule, operands);
    Py_XDECREF(operands);
    return traced;
}

static PyObject *obey(Value *node, PyObject *mode)
{
    PyObject *result = NULL, *trace = PyObject_GetAttrString(mode, "recorder");
    if (trace && trace != Py_None)
        result = in_program(node, trace);
    else if (trace && adapt(node, mode) && (!capturing() || noted(node)))
        result = Py_NewRef((PyObject *)node);
    Py_XDECREF(trace);
    Py_DECREF(node);
    return result;
}

/* The result of an operation: its new node, treated as the current mode says. Every operation ends here. */
static inline PyObject *finish(Value *node)
{
    PyObject *mode, *result = (PyObject *)node;
    if (PyContextVar_Get(mode_variable, NULL, &mode) < 0) {
        Py_DECREF(node);
        return NULL;
    }
    if (mode != Py_None)
        result = obey(node, mode);
    else if (capturing() && !noted(node))
        Py_CLEAR(result);
    Py_DECREF(mode);
    return result;
}
