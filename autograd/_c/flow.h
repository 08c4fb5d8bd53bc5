/* What rewritten functions call during a capture: the common case of `Flow` in compiler/capture/control/flow.py and of its bases.

Outside the sides of branches and the steps of loops of the program, names, elements and functions are what they are, a
plain condition decides as in Python, and a comparison of the program is a guard. All else is left to Python. */

static PyTypeObject *partial_type;
static PyObject *python_min, *python_max, *python_bisect_left, *python_bisect_right, *python_isinstance;
static PyObject *rewritten_codes, *single_call;
static PyObject *refused_name, *kind_name, *and_name, *no_text;
static Py_ssize_t most_made;

static struct {
    Py_ssize_t sides, flows, maps, whole_numbers, flow, made, journal; /* of a Trace */
    Py_ssize_t sites;                                                  /* of a Flow */
} flow_at;

/* ---- where the capture is ---- */

typedef enum { IN_PYTHON, NO_CAPTURE, OUTSIDE } Where; /* IN_PYTHON: Python code must find out */

/* The trace that records in this context and the one around all others, both borrowed; OUTSIDE if no side of a branch and
no step of a loop is captured. */
static Where present_trace(PyObject **trace, PyObject **root)
{
    PyObject *mode;
    if (!trace_type || PyContextVar_Get(mode_variable, NULL, &mode) < 0)
        return IN_PYTHON;
    *trace = Py_IS_TYPE(mode, mode_type) ? read_slot(mode, slots_at.recorder) : mode; /* the context keeps it */
    Py_DECREF(mode);
    if (*trace == Py_None)
        return NO_CAPTURE;
    *root = *trace;
    while (*root && Py_IS_TYPE(*root, trace_type) && read_slot(*root, slots_at.parent) != Py_None)
        *root = read_slot(*root, slots_at.parent);
    if (!*root || !(Py_IS_TYPE(*root, trace_type) || is_tape_trace(*root)))
        return IN_PYTHON;
    PyObject *sides = read_slot(*root, flow_at.sides);
    return sides && PyLong_CheckExact(sides) && PyLong_AsLong(sides) == 0 ? OUTSIDE : IN_PYTHON;
}

/* Whether branches and loops of the source may be part of the program. */
static bool has_flows(PyObject *root)
{
    return read_slot(root, flow_at.flows) == Py_True && read_slot(root, flow_at.maps) == Py_True;
}

/* ---- names, attributes, elements, calls ---- */

/* `Flow.container` and its like: outside of sides they return what they are given, or None if `rule` says so. */
static PyObject *native_outside(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace, *root;
    if (names || !count || present_trace(&trace, &root) == IN_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    return Py_NewRef(self->rule ? Py_None : args[0]);
}

/* `Flow.item`: an element; Python code looks at keys that may be numbers of the program. */
static PyObject *native_item(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace, *root;
    bool plain = !names && count == 2 && (PyLong_CheckExact(args[1]) || PyUnicode_CheckExact(args[1]));
    if (!plain || present_trace(&trace, &root) == IN_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    return PyObject_GetItem(args[0], args[1]);
}

/* Whether a function is known to have no new code: 1; 0 if it may have some, -1 after an error. Python code looks at classes
that a program defines, and at what makes a whole number or a list, or tells a class. */
static int stays(PyObject *function)
{
    if (PyType_Check(function))
        return !PyType_HasFeature((PyTypeObject *)function, Py_TPFLAGS_HEAPTYPE) && function != (PyObject *)&PyLong_Type
               && function != (PyObject *)&PyList_Type && function != (PyObject *)&PyType_Type;
    if (PyMethod_Check(function))
        function = PyMethod_GET_FUNCTION(function);
    else if (Py_IS_TYPE(function, partial_type))
        return 0;
    if (!PyFunction_Check(function))
        return !PyMethod_Check(function);
    PyObject *key = PyLong_FromVoidPtr(PyFunction_GET_CODE(function));
    PyObject *found = key ? PyDict_GetItemWithError(rewritten_codes, key) : NULL;
    Py_XDECREF(key);
    if (!found)
        return PyErr_Occurred() ? -1 : 0;
    return PyTuple_CheckExact(found) && PyTuple_GET_SIZE(found) == 2 && PyTuple_GET_ITEM(found, 1) == Py_None;
}

/* `Flow.called`: a function as it is to be called. */
static PyObject *native_called(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace, *root;
    Where where = names || count != 1 ? IN_PYTHON : present_trace(&trace, &root);
    if (where == IN_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (where == OUTSIDE) {
        if (!has_flows(root) || read_slot(root, flow_at.whole_numbers) != Py_False || args[0] == python_min
            || args[0] == python_max || args[0] == python_bisect_left || args[0] == python_bisect_right
            || args[0] == python_isinstance)
            return NOT_MINE;
        int same = stays(args[0]);
        if (same <= 0)
            return same < 0 ? NULL : NOT_MINE;
    }
    return Py_NewRef(args[0]);
}

/* ---- what is made and assigned ---- */

/* `Flow.made`: a list or a dict that the code has made, which is noted. */
static PyObject *native_made(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace, *root;
    Where where = names || count != 1 ? IN_PYTHON : present_trace(&trace, &root);
    if (where == IN_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (where == OUTSIDE) {
        PyObject *made = read_slot(root, flow_at.made), *journal = read_slot(root, flow_at.journal);
        if (!has_flows(root) || !made || !PyDict_CheckExact(made) || !journal)
            return NOT_MINE;
        if (PyDict_GET_SIZE(made) < most_made) {
            PyObject *key = PyLong_FromVoidPtr(args[0]), *noted = key ? PyTuple_Pack(2, args[0], journal) : NULL;
            int status = noted ? PyDict_SetItem(made, key, noted) : -1;
            Py_XDECREF(key);
            Py_XDECREF(noted);
            if (status < 0)
                return NULL;
        }
    }
    return Py_NewRef(args[0]);
}

/* Whether an assignment is made at once: 1; 0 if Python code must see to it, -1 after an error. */
static int assigns_at_once(void)
{
    PyObject *trace, *root;
    Where where = present_trace(&trace, &root);
    if (where == IN_PYTHON)
        return PyErr_Occurred() ? -1 : 0;
    return where == NO_CAPTURE || (has_flows(root) && read_slot(root, flow_at.journal) == Py_None);
}

/* `Flow.set_attribute`: value, thing, name. */
static PyObject *native_set_attribute(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    int at_once = names || count != 3 || !PyUnicode_CheckExact(args[2]) ? 0 : assigns_at_once();
    if (at_once <= 0)
        return at_once < 0 ? NULL : NOT_MINE;
    return PyObject_SetAttr(args[1], args[2], args[0]) < 0 ? NULL : Py_NewRef(Py_None);
}

/* `Flow.set_element`: value, thing, key. Python code looks at keys that may be comparisons of the program. */
static PyObject *native_set_element(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    bool plain = !names && count == 3 && (PyLong_CheckExact(args[2]) || PyUnicode_CheckExact(args[2]));
    int at_once = plain ? assigns_at_once() : 0;
    if (at_once <= 0)
        return at_once < 0 ? NULL : NOT_MINE;
    return PyObject_SetItem(args[1], args[2], args[0]) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- conditions ---- */

typedef enum { ASK_PYTHON, PLAIN_CONDITION, BECOMES_GUARD } Condition;

/* What a condition is: a plain one, or one that becomes a guard, as in a single call outside loops, of this trace. */
static Condition condition_of(PyObject *condition, PyObject **trace)
{
    PyObject *root;
    if (PyBool_Check(condition) || condition == Py_None || PyLong_CheckExact(condition) || PyFloat_CheckExact(condition)
        || PyUnicode_CheckExact(condition) || PyList_CheckExact(condition) || PyTuple_CheckExact(condition)
        || PyDict_CheckExact(condition))
        return PLAIN_CONDITION;
    if (!truth_type || !Py_IS_TYPE(condition, truth_type) || present_trace(trace, &root) != OUTSIDE || *trace != root
        || read_slot(condition, compare_at.builder) != root || read_slot(root, compare_at.deciding) != Py_None
        || !has_flows(root))
        return ASK_PYTHON;
    PyObject *place = read_slot(condition, compare_at.index);
    if (!place || !PyLong_CheckExact(place))
        return ASK_PYTHON;
    if (is_tape_trace(root))
        return BECOMES_GUARD;
    return is_constant_at(root, PyLong_AsSsize_t(place)) ? ASK_PYTHON : BECOMES_GUARD;
}

/* The outcome of a condition: 1 or 0; -1 after an error. */
static int outcome_of(PyObject *condition, PyObject *trace, Condition kind)
{
    PyObject *found = NOT_MINE;
    if (kind == BECOMES_GUARD) {
        PyObject *place = read_slot(condition, compare_at.index);
        found = is_tape_trace(trace) ? truth_on_tape(trace, place) : truth_of_place(trace, place);
    }
    if (!found || found == NOT_MINE)
        return found ? PyObject_IsTrue(condition) : -1;
    int outcome = found == Py_True;
    Py_DECREF(found);
    return outcome;
}

/* The site of a number; a borrowed reference, or NULL. */
static PyObject *site_of(PyObject *flow, PyObject *number)
{
    PyObject *sites = read_slot(flow, flow_at.sites);
    return sites ? item_of(sites, number) : NULL;
}

/* `Sites.note`, of a guard. */
static bool note_why(PyObject *trace, PyObject *site, PyObject *why)
{
    Known *known = known_by(trace);
    if (!known || (known->site != site && !PyDict_SetDefault(read_slot(trace, flow_at.flow), site, why)))
        return false;
    Py_XSETREF(known->site, Py_NewRef(site));
    return true;
}

/* `Branching.choose`, `returned` and `branch`: what the side returns that the condition chooses. */
static PyObject *native_choose(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace = NULL, *given = count == 6 ? args[5] : NULL;
    if (names || (count != 5 && count != 6) || (given && !PyTuple_CheckExact(given)))
        return NOT_MINE;
    PyObject *condition = args[2], *site = site_of(args[0], args[1]);
    Condition kind = site ? condition_of(condition, &trace) : ASK_PYTHON;
    if (kind == ASK_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (kind == BECOMES_GUARD && !note_why(trace, site, single_call))
        return NULL;
    int outcome = outcome_of(condition, trace, kind);
    if (outcome < 0)
        return NULL;
    PyObject *side = args[outcome ? 3 : 4];
    return given ? PyObject_Call(side, given, NULL) : PyObject_CallNoArgs(side);
}

/* `Branching.decided`. */
static PyObject *native_decided(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace = NULL, *site = !names && count == 3 ? site_of(args[0], args[1]) : NULL;
    Condition kind = site ? condition_of(args[2], &trace) : ASK_PYTHON;
    if (kind == ASK_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (kind == BECOMES_GUARD && !note_why(trace, site, single_call))
        return NULL;
    int outcome = outcome_of(args[2], trace, kind);
    return outcome < 0 ? NULL : PyLong_FromLong(outcome ? 1 : -1);
}

/* `Sites.guard`. */
static PyObject *native_guard(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace = NULL, *site = !names && count == 3 ? site_of(args[0], args[1]) : NULL;
    Condition kind = site ? condition_of(args[2], &trace) : ASK_PYTHON;
    if (kind == ASK_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (kind == BECOMES_GUARD) {
        PyObject *why = PyObject_GetAttr(site, refused_name);
        bool noted = why && note_why(trace, site, why == Py_None ? no_text : why);
        Py_XDECREF(why);
        if (!noted)
            return NULL;
    }
    return Py_NewRef(args[2]);
}

/* `Branching.negated`. */
static PyObject *native_negated(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace = NULL;
    Condition kind = !names && count == 2 ? condition_of(args[1], &trace) : ASK_PYTHON;
    if (kind == ASK_PYTHON)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    int outcome = outcome_of(args[1], trace, kind);
    return outcome < 0 ? NULL : PyBool_FromLong(!outcome);
}

/* The rest of `Branching.combined`, in Python. */
static PyObject *combined_in_python(Native *self, PyObject *const *args, PyObject *value, Py_ssize_t at, Py_ssize_t count)
{
    PyObject *rest = PyTuple_New(3 + count - at);
    if (!rest)
        return NULL;
    PyTuple_SET_ITEM(rest, 0, Py_NewRef(args[0]));
    PyTuple_SET_ITEM(rest, 1, Py_NewRef(args[1]));
    PyTuple_SET_ITEM(rest, 2, Py_NewRef(value));
    for (Py_ssize_t i = at; i < count; i++)
        PyTuple_SET_ITEM(rest, 3 + i - at, Py_NewRef(args[i]));
    PyObject *result = PyObject_Call(self->python, rest, NULL);
    Py_DECREF(rest);
    return result;
}

/* `Branching.combined`. */
static PyObject *native_combined(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *trace = NULL, *site = !names && count >= 4 ? site_of(args[0], args[1]) : NULL;
    PyObject *kind = site ? PyObject_GetAttr(site, kind_name) : NULL;
    if (!kind)
        return site ? NULL : NOT_MINE;
    bool ands = PyUnicode_Check(kind) && PyUnicode_Compare(kind, and_name) == 0;
    Py_DECREF(kind);
    PyObject *value = Py_NewRef(args[2]);
    for (Py_ssize_t i = 3; i < count; i++) {
        Condition is = condition_of(value, &trace);
        PyObject *found = NULL;
        if (is != ASK_PYTHON) {
            int outcome = outcome_of(value, trace, is);
            if (outcome >= 0 && outcome != ands)
                return value;
            found = outcome < 0 ? NULL : PyObject_CallNoArgs(args[i]);
        } else if (!PyErr_Occurred()) {
            found = combined_in_python(self, args, value, i, count);
            i = count;
        }
        Py_SETREF(value, found);
        if (!value)
            return NULL;
    }
    return value;
}

/* ---- what flow.py gives ---- */

/* flow(Flow, partial, min, max, bisect_left, bisect_right, isinstance, codes, why, most made): flow.py calls it once. */
static PyObject *value_flow(PyObject *module, PyObject *args)
{
    PyTypeObject *flow;
    if (rewritten_codes)
        return PyErr_Format(PyExc_RuntimeError, "the C build knows the flow already");
    if (!PyArg_ParseTuple(args, "O!O!OOOOOO!Un", &PyType_Type, &flow, &PyType_Type, &partial_type, &python_min, &python_max,
                          &python_bisect_left, &python_bisect_right, &python_isinstance, &PyDict_Type, &rewritten_codes, &single_call, &most_made))
        return NULL;
    if (!find_offset(flow, "sites", &flow_at.sites) || !(refused_name = PyUnicode_InternFromString("refused"))
        || !(kind_name = PyUnicode_InternFromString("kind")) || !(and_name = PyUnicode_InternFromString("and"))
        || !(no_text = PyUnicode_InternFromString("")))
        return NULL;
    Py_INCREF(args); /* it keeps them */
    Py_RETURN_NONE;
}

static bool find_flow(void)
{
    return find_offset(trace_type, "sides", &flow_at.sides) && find_offset(trace_type, "flows", &flow_at.flows)
           && find_offset(trace_type, "maps", &flow_at.maps) && find_offset(trace_type, "flow", &flow_at.flow)
           && find_offset(trace_type, "whole_numbers", &flow_at.whole_numbers)
           && find_offset(trace_type, "made", &flow_at.made) && find_offset(trace_type, "journal", &flow_at.journal);
}
