/* `Value` for speed: the class of value.py, and the sweeps of sweep.py, in C.

This code takes the common case only: operands that are exactly Value, float or int, and rows of the table. All else,
errors included, goes to the Python code that defines what is right: the methods and functions of value.py, sweep.py,
graphs.py and math.py. `NOT_MINE` says so.

The parts below make one translation unit: the compiler can then inline across them, and nothing but the module's
init function leaves this file. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <structmember.h>

#if defined(__clang__) || defined(_MSC_VER)
#pragma STDC FP_CONTRACT OFF
#endif
#if defined(_MSC_VER)
#define ALWAYS_INLINE static __forceinline
#else
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

static double from_python(int rule, int count, const double *x);
static double many_from_python(int rule, const double *x, Py_ssize_t n);

/* Each part uses the ones before it. */
#include "functions.h"       /* the values of the table's rows */
#include "rules.h"           /* the table: generated */
#include "node.h"            /* a node: its fields, how it is made and freed; includes memory.h */
#include "operands.h"        /* a node's operands as tuples */
#include "numbers.h"         /* operands as numbers */
#include "tracer.h"          /* what stands for a number during a capture */
#include "known.h"           /* where instructions are, and what they compute */
#include "capture.h"         /* operations during a capture */
#include "roll.h"            /* loops in what was captured */
#include "mode.h"            /* what a mode or a capture wants of a new node */
#include "operators.h"       /* a row on up to three operands */
#include "many.h"            /* a row on any number of operands */
#include "order.h"           /* topological order */
#include "sweep.h"           /* reverse and forward sweeps */
#include "construct.h"       /* Value(...), _node and _fill */
#include "accelerated.h"     /* Python functions with their common case in C */
#include "elements.h"        /* many numbers at once */
#include "programs.h"        /* what looks through all the code of a program */
#include "compare.h"         /* comparisons during a capture */
#include "settle.h"          /* what a capture has noted, as objects */
#include "tape.h"            /* a run of a function of which a tape notes the operations */
#include "calls.h"           /* a watch over calls */
#include "flow.h"            /* what rewritten functions call during a capture */
#include "sweep_functions.h" /* the functions of sweep.py */
#include "graphs.h"          /* the functions of graphs.py */
#include "class.h"           /* what Python reads, compares and assigns; the class itself */

static const struct {
    const char *name;
    Implementation implementation;
    int rule;
} NATIVES[] = {
    {"topological_order", native_order, 0},
    {"reverse", native_reverse, 0},
    {"forward", native_forward, 0},
    {"backward", native_backward, 0},
    {"Value.backward", native_backward_method, 0},
    {"record_sweep", native_record_sweep, 0},
    {"copy_graph", native_copy_graph, 0},
    {"reduce_graph", native_reduce_graph, 0},
    {"restore_graph", native_restore_graph, 0},
    {"Value.apply_rule", native_apply_rule, 0},
    {"Traced.apply_rule", native_apply_traced, 0},
    {"Traced.of", native_traced_of, 0},
    {"Traced.element", native_traced_element, 0},
    {"Traced.elements", native_traced_elements, 0},
    {"Traced._stop", native_stop, 0},
    {"Trace.places", native_places, 0},
    {"evenly_apart", native_evenly_apart, 0},
    {"innermost", native_innermost, 0},
    {"needed", native_needed, 0},
    {"occurrences", native_occurrences, 0},
    {"only_floats", native_only, false},
    {"only_leaves", native_only, true},
    {"Traced.__lt__", native_compare_traced, LESS},
    {"Traced.__le__", native_compare_traced, LESS_EQUAL},
    {"Traced.__gt__", native_compare_traced, GREATER},
    {"Traced.__ge__", native_compare_traced, GREATER_EQUAL},
    {"Watched.truth", native_truth, 0},
    {"TracedTruth.__bool__", native_bool_of_truth, 0},
    {"Flow.owner", native_outside, false},
    {"Flow.container", native_outside, false},
    {"Flow.item", native_item, 0},
    {"Flow.iterated", native_outside, false},
    {"Flow.drawn", native_outside, false},
    {"Flow.immutable", native_outside, true},
    {"Flow.made", native_made, 0},
    {"Flow.set_attribute", native_set_attribute, 0},
    {"Flow.set_element", native_set_element, 0},
    {"Flow.called", native_called, 0},
    {"Branching.choose", native_choose, 0},
    {"Branching.returned", native_choose, 0},
    {"Branching.branch", native_choose, 0},
    {"Branching.decided", native_decided, 0},
    {"Sites.guard", native_guard, 0},
    {"Branching.negated", native_negated, 0},
    {"Branching.combined", native_combined, 0},
    {"Value.zero_grad", native_zero_grad, 0},
    {"log", native_row, RULE_log},
    {"hypot", native_row, RULE_hypot},
    {"leaky_relu", native_row, RULE_leaky_relu},
    {"elu", native_row, RULE_elu},
    {"Value.leaky_relu", native_row, RULE_leaky_relu},
    {"Value.elu", native_row, RULE_elu},
    {"max", native_of_operands, RULE_max},
    {"min", native_of_operands, RULE_min},
    {"mean", native_of_operands, RULE_mean},
    {"logsumexp", native_of_operands, RULE_logsumexp},
    {"sum", native_of_iterable, RULE_sum},
    {"fsum", native_of_iterable, RULE_fsum},
    {"prod", native_of_iterable, RULE_prod},
    {"dot", native_dot, RULE_dot},
};

static PyObject *new_native(PyObject *python, Implementation implementation, int rule)
{
    Native *native = PyObject_New(Native, &NativeType);
    if (native) {
        native->call = native_call;
        native->implementation = implementation;
        native->python = Py_NewRef(python);
        native->rule = rule;
    }
    return (PyObject *)native;
}

static PyObject *native_of_row(PyObject *python, PyObject *name)
{
    for (int rule = 0; rule < RULE_COUNT; rule++)
        if (ROWS[rule].arity > 0 && PyUnicode_CompareWithASCIIString(name, ROWS[rule].name) == 0)
            return new_native(python, native_row, rule);
    return Py_NewRef(python);
}

/* fast(function, row=None): the function with its common case in C, or the function itself if C has none for it. */
static PyObject *value_fast(PyObject *module, PyObject *args)
{
    PyObject *python, *row = NULL;
    if (!PyArg_ParseTuple(args, "O!|U", &PyFunction_Type, &python, &row))
        return NULL;
    if (row)
        return native_of_row(python, row);
    PyObject *name = PyObject_GetAttrString(python, "__qualname__");
    if (!name)
        return NULL;
    PyObject *found = NULL;
    if (PyUnicode_CompareWithASCIIString(name, "record_sweep") == 0)
        Py_XSETREF(sweep_globals, Py_NewRef(PyFunction_GetGlobals(python)));
    for (size_t i = 0; i < sizeof NATIVES / sizeof *NATIVES && !found; i++)
        if (PyUnicode_CompareWithASCIIString(name, NATIVES[i].name) == 0)
            found = new_native(python, NATIVES[i].implementation, NATIVES[i].rule);
    Py_DECREF(name);
    return found || PyErr_Occurred() ? found : Py_NewRef(python);
}

static bool take_table(PyObject *table)
{
    Py_ssize_t position = 0, rule = 0;
    PyObject *name, *row;
    if (!(rule_codes = PyDict_New()))
        return false;
    for (; PyDict_Next(table, &position, &name, &row); rule++) {
        if (rule == RULE_COUNT || PyUnicode_CompareWithASCIIString(name, ROWS[rule].name)) {
            PyErr_Format(PyExc_ImportError, "the C build does not know the row %R: build it again", name);
            return false;
        }
        PyObject *code = PyLong_FromSsize_t(rule);
        rules[rule] = Py_NewRef(row);
        row_names[rule] = Py_NewRef(name);
        row_values[rule] = PyObject_GetAttrString(row, "value");
        if (!code || !row_values[rule] || PyDict_SetItem(rule_codes, row, code) < 0)
            return false;
        Py_DECREF(code);
    }
    return true;
}

/* The methods of the class in value.py to which operators, comparisons and assignments hand what is not for C. */
static bool take_methods(PyObject *python)
{
    static const struct {
        int rule;
        const char *forward, *reflected;
    } OPERATORS[] = {
        {RULE_add, "__add__", "__radd__"}, {RULE_sub, "__sub__", "__rsub__"}, {RULE_mul, "__mul__", "__rmul__"},
        {RULE_div, "__truediv__", "__rtruediv__"}, {RULE_mod, "__mod__", "__rmod__"},
        {RULE_floordiv, "__floordiv__", "__rfloordiv__"}, {RULE_pow, "__pow__", "__rpow__"},
        {RULE_neg, "__neg__", "__neg__"},
    };
    static const char *COMPARISONS[] = {"__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__"};
    for (size_t i = 0; i < sizeof OPERATORS / sizeof *OPERATORS; i++) {
        if (!(forwards[OPERATORS[i].rule] = PyObject_GetAttrString(python, OPERATORS[i].forward))
            || !(reflections[OPERATORS[i].rule] = PyObject_GetAttrString(python, OPERATORS[i].reflected)))
            return false;
    }
    for (int i = 0; i < 6; i++)
        if (!(python_comparisons[i] = PyObject_GetAttrString(python, COMPARISONS[i])))
            return false;
    return (python_init = PyObject_GetAttrString(python, "__init__"))
           && (python_data = PyObject_GetAttrString(python, "data"))
           && (python_grad = PyObject_GetAttrString(python, "grad"))
           && (python_bool = PyObject_GetAttrString(python, "__bool__"));
}

/* setup(python_class, table, mode, captures, to_float, caller, raise_made, to_text, note_made): value.py calls it once. */
static PyObject *value_setup(PyObject *module, PyObject *args)
{
    PyObject *python, *table;
    if (captures)
        return PyErr_Format(PyExc_RuntimeError, "the C build has been set up already");
    if (!PyArg_ParseTuple(args, "OO!OO!OOOOO", &python, &PyDict_Type, &table, &mode_variable, &PyList_Type, &captures,
                          &to_float, &caller, &raise_made, &to_text, &note_made))
        return NULL;
    Py_INCREF(mode_variable);
    Py_INCREF(captures);
    Py_INCREF(to_float);
    Py_INCREF(caller);
    Py_INCREF(raise_made);
    Py_INCREF(to_text);
    Py_INCREF(note_made);
    return take_table(table) && take_methods(python) ? Py_NewRef((PyObject *)ValueType) : NULL;
}

static PyMethodDef module_methods[] = {
    {"fast", value_fast, METH_VARARGS, "The function with its common case in C."},
    {"setup", value_setup, METH_VARARGS, "Give the C build the parts of value.py that it needs; return the class."},
    {"find_loops", value_find_loops, METH_VARARGS, "The loops in flat code."},
    {"tape", value_tape, METH_O, "Give the C build the trace that has a tape."},
    {"trace", value_trace, METH_VARARGS, "Give the C build the parts of the compiler's trace that it needs."},
    {"flow", value_flow, METH_VARARGS, "Give the C build the parts of a capture's branches that it needs."},
    {"watch_calls", value_watch_calls, METH_VARARGS, "Tell a function of calls."},
    {"fill", (PyCFunction)(void (*)(void))value_fill, METH_FASTCALL, "The fields of a new node."},
    {"node", (PyCFunction)(void (*)(void))value_node, METH_FASTCALL, "The node of an operation."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    if (ValueType) {
        PyErr_SetString(PyExc_ImportError, "the C build serves one copy of the package in one interpreter");
        return -1;
    }
    if (!(apply_rule_name = PyUnicode_InternFromString("apply_rule")) || PyType_Ready(&NativeType) < 0
        || !(ValueType = (PyTypeObject *)PyType_FromSpec(&value_spec)))
        return -1;
    ValueType->tp_name = "Value"; /* error messages show the bare name, as for a class made by Python */
    ValueType->tp_vectorcall = value_vectorcall;
    if (!(TracedType = (PyTypeObject *)PyType_FromSpecWithBases(&traced_spec, (PyObject *)ValueType)))
        return -1;
    TracedType->tp_name = "Traced";
    if (!(KnownType = (PyTypeObject *)PyType_FromSpec(&known_spec)))
        return -1;
    return PyModule_AddObjectRef(module, "Traced", (PyObject *)TracedType) < 0
                   || PyModule_AddObjectRef(module, "Known", (PyObject *)KnownType) < 0
               ? -1
               : 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "autograd._value",
    .m_doc = "The C build of autograd.value.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__value(void) { return PyModuleDef_Init(&module_definition); }
