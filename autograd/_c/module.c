/* `Value` for speed: the class of value.py, and the sweeps of sweep.py, in C.

Here is the common case only: operands that are exactly Value, float or int, operations of the table. Everything else,
errors included, goes to the Python code that defines what is right: the methods and functions of value.py, sweep.py,
graphs.py and math.py. `NOT_MINE` says so. */

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

#include "functions.h"
#include "rules.h"
/* in this order */
#include "node.h"
#include "sweep.h"

/* ---- operations: a row on operands ---- */

/* One node of a row with a fixed number of operands, at most 3; inlined, so that known rows cost no switch. */
ALWAYS_INLINE PyObject *make_node(int rule, int count, PyObject *const *operands, const int *kinds, const double *x)
{
    double y = value_of(rule, x), d[3] = {0.0, 0.0, 0.0};
    bool local[3] = {false, false, false};
    for (int i = 0; i < count; i++)
        local[i] = kinds[i] == NODE && derivative_of(rule, i, x, y, &d[i]);
    if (ROWS[rule].may_raise && PyErr_Occurred())
        return NULL;
    Slots slots;
    Value *node = new_node(y, rules[rule]);
    if (!node)
        return NULL;
    if (!make_room(node, count, &slots)) {
        Py_DECREF(node);
        return NULL;
    }
    for (int i = 0; i < count; i++)
        set_operand(slots, i, operands[i], kinds[i], x[i], local[i], d[i]);
    node->count = (uint32_t)count;
    return finish(node);
}

static PyObject *forwards[RULE_COUNT], *reflections[RULE_COUNT]; /* the operators of value.py */

static PyObject *python_operator(int rule, PyObject *a, PyObject *b)
{
    PyObject *forward[] = {a, b}, *reflected[] = {b, a};
    if (is_value(a))
        return PyObject_Vectorcall(forwards[rule], forward, 2, NULL);
    return PyObject_Vectorcall(reflections[rule], reflected, 2, NULL);
}

ALWAYS_INLINE PyObject *binary(int rule, PyObject *a, PyObject *b)
{
    double x[2];
    PyObject *const operands[] = {a, b};
    const int kinds[] = {take(a, &x[0]), take(b, &x[1])};
    if (kinds[0] == OTHER || kinds[1] == OTHER)
        return python_operator(rule, a, b);
    return make_node(rule, 2, operands, kinds, x);
}

static PyObject *value_add_node(PyObject *a, PyObject *b) { return binary(RULE_add, a, b); }
static PyObject *value_sub_node(PyObject *a, PyObject *b) { return binary(RULE_sub, a, b); }
static PyObject *value_mul_node(PyObject *a, PyObject *b) { return binary(RULE_mul, a, b); }
static PyObject *value_div_node(PyObject *a, PyObject *b) { return binary(RULE_div, a, b); }
static PyObject *value_mod_node(PyObject *a, PyObject *b) { return binary(RULE_mod, a, b); }
static PyObject *value_floordiv_node(PyObject *a, PyObject *b) { return binary(RULE_floordiv, a, b); }

static PyObject *value_pow_node(PyObject *a, PyObject *b, PyObject *modulus)
{
    if (modulus == Py_None)
        return binary(RULE_pow, a, b);
    if (!is_value(a))
        Py_RETURN_NOTIMPLEMENTED;
    return PyObject_CallFunctionObjArgs(forwards[RULE_pow], a, b, modulus, NULL); /* says that it takes two */
}

static PyObject *value_neg_node(PyObject *self)
{
    const int kinds[] = {NODE};
    if (!Py_IS_TYPE(self, ValueType))
        return PyObject_CallOneArg(forwards[RULE_neg], self);
    return make_node(RULE_neg, 1, &self, kinds, &((Value *)self)->data);
}

/* ---- many operands, from wherever they lie ---- */

typedef struct {
    PyObject *const *items; /* either objects */
    const double *numbers;  /* or floats */
    Py_ssize_t count;
    Py_buffer view;
    PyObject *kept;
} Row;

static void close_row(Row *row)
{
    if (row->view.obj)
        PyBuffer_Release(&row->view);
    Py_CLEAR(row->kept);
}

/* A contiguous array of floats or of objects; one that can be `filled` is masked, and refused by Python code. */
static bool open_buffer(PyObject *object, Row *row)
{
    if (PyObject_HasAttrString(object, "filled"))
        return false;
    if (PyObject_GetBuffer(object, &row->view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0) {
        PyErr_Clear();
        row->view.obj = NULL;
        return false;
    }
    const char *format = row->view.format ? row->view.format : "B";
    row->count = row->view.itemsize ? row->view.len / row->view.itemsize : 0;
    if (row->view.ndim == 1 && (uintptr_t)row->view.buf % sizeof(double) == 0) {
        if (strcmp(format, "d") == 0)
            row->numbers = row->view.buf;
        else if (strcmp(format, "O") == 0)
            row->items = row->view.buf;
    }
    return row->numbers || row->items;
}

/* The operands in a list, tuple, array or iterator. -1: an error, 0: for Python code to look at. */
static int open_row(PyObject *object, Row *row)
{
    *row = (Row){0};
    if (PyIter_Check(object)) {
        if (!(object = row->kept = PySequence_List(object)))
            return -1;
    }
    if (PyList_CheckExact(object)) {
        row->items = ((PyListObject *)object)->ob_item;
        row->count = PyList_GET_SIZE(object);
        return 1;
    }
    if (PyTuple_CheckExact(object)) {
        row->items = ((PyTupleObject *)object)->ob_item;
        row->count = PyTuple_GET_SIZE(object);
        return 1;
    }
    return PyObject_CheckBuffer(object) && open_buffer(object, row);
}

static Py_ssize_t read_row(const Row *row, double *x, int8_t *kinds)
{
    Py_ssize_t nodes = 0;
    for (Py_ssize_t i = 0; i < row->count; i++) {
        int kind = 0;
        if (row->numbers)
            x[i] = row->numbers[i];
        else if (!row->items[i] || (kind = take(row->items[i], &x[i])) == OTHER)
            return OTHER;
        kinds[i] = (int8_t)kind;
        nodes += kind == NODE;
    }
    return nodes;
}

/* Scratch space for n operands: numbers, derivatives, kinds, selections. */
typedef struct {
    double *x, *d;
    int8_t *kinds;
    bool *selected;
    double few[SMALL * 2 + SMALL / 4];
} Scratch;

static bool open_scratch(Scratch *scratch, Py_ssize_t n)
{
    scratch->x = n <= SMALL ? scratch->few : PyMem_Malloc((size_t)n * (2 * sizeof(double) + 2));
    if (!scratch->x) {
        PyErr_NoMemory();
        return false;
    }
    scratch->d = scratch->x + n;
    scratch->kinds = (int8_t *)(scratch->d + n);
    scratch->selected = (bool *)(scratch->kinds + n);
    return true;
}

static void close_scratch(Scratch *scratch)
{
    if (scratch->x != scratch->few)
        PyMem_Free(scratch->x);
}

static PyObject *make_wide_node(int rule, const Row *rows, int row_count, Scratch *scratch, Py_ssize_t n)
{
    double y = value_of_many(rule, scratch->x, n);
    memset(scratch->selected, true, (size_t)n);
    derivatives_of_many(rule, scratch->x, n, y, scratch->d, scratch->selected);
    Slots slots;
    Value *node = new_node(y, rules[rule]);
    if (!node)
        return NULL;
    if (!make_room(node, n, &slots)) {
        Py_DECREF(node);
        return NULL;
    }
    Py_ssize_t at = 0;
    for (int r = 0; r < row_count; r++)
        for (Py_ssize_t i = 0; i < rows[r].count; i++, at++)
            set_operand(slots, at, rows[r].items ? rows[r].items[i] : NULL, scratch->kinds[at], scratch->x[at],
                        scratch->selected[at], scratch->d[at]);
    node->count = (uint32_t)n;
    return finish(node);
}

static char not_mine;
#define NOT_MINE ((PyObject *)&not_mine)

/* One node of an n-ary row, or a float if there is no Value among the operands. */
static PyObject *apply_to_rows(int rule, const Row *rows, int row_count)
{
    Scratch scratch;
    Py_ssize_t n = 0, nodes = 0;
    for (int r = 0; r < row_count; r++)
        n += rows[r].count;
    if (n == 0)
        return NOT_MINE;
    if (!open_scratch(&scratch, n))
        return NULL;
    for (Py_ssize_t r = 0, at = 0, found; r < row_count && nodes != OTHER; at += rows[r++].count) {
        found = read_row(&rows[r], scratch.x + at, scratch.kinds + at);
        nodes = found == OTHER ? OTHER : nodes + found;
    }
    PyObject *result = NOT_MINE;
    if (nodes == 0)
        result = PyFloat_FromDouble(value_of_many(rule, scratch.x, n));
    else if (nodes != OTHER)
        result = make_wide_node(rule, rows, row_count, &scratch, n);
    close_scratch(&scratch);
    return result;
}

/* ---- functions that are C for the common case and Python for the rest ---- */

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

/* A row with a fixed number of operands as a function or a method. */
static PyObject *native_row(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    double x[3];
    int kinds[3], nodes = 0;
    if (names || count != ROWS[self->rule].arity)
        return NOT_MINE;
    for (Py_ssize_t i = 0; i < count; i++) {
        if ((kinds[i] = take(args[i], &x[i])) == OTHER)
            return NOT_MINE;
        nodes += kinds[i];
    }
    if (nodes)
        return make_node(self->rule, (int)count, args, kinds, x);
    double y = value_of(self->rule, x);
    return ROWS[self->rule].may_raise && PyErr_Occurred() ? NULL : PyFloat_FromDouble(y);
}

/* The n-ary functions of math.py: one iterable, or (`spread`) the operands one by one. */
static PyObject *call_many(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names, bool spread)
{
    Row row = {.items = args, .count = count};
    if (names || (count != 1 && !spread))
        return NOT_MINE;
    int opened = count == 1 ? open_row(args[0], &row) : 1;
    PyObject *result = opened < 0 ? NULL : opened ? apply_to_rows(self->rule, &row, 1) : NOT_MINE;
    if (result == NOT_MINE && count == 1 && row.kept) /* what was in the iterator is in the list now */
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
        if (PyList_CheckExact(args[0])) /* a buffer may be made by Python code, and that may change the list */
            open_row(args[0], &rows[0]);
        if (opened > 0 && rows[0].count == rows[1].count)
            result = apply_to_rows(self->rule, rows, 2);
        close_row(&rows[1]);
    }
    close_row(&rows[0]);
    return result;
}

/* `Value.apply_rule`: a row of the table on Values, subclasses among them, and numbers. */
static PyObject *native_apply_rule(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 3 || !(PyTuple_CheckExact(args[2]) || PyList_CheckExact(args[2])))
        return NOT_MINE;
    PyObject *code = PyDict_GetItemWithError(rule_codes, args[1]);
    if (!code) {
        PyErr_Clear();
        return NOT_MINE;
    }
    int rule = (int)PyLong_AsLong(code);
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

/* ---- the functions of sweep.py ---- */

static bool all_values(PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_value(objects[i]))
            return false;
    return true;
}

/* Whether outputs are Values with all their operands: one of a subclass may make them when Python asks for them. */
static bool all_made(PyObject *const *outputs, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_value(outputs[i]) || (!Py_IS_TYPE(outputs[i], ValueType) && !((Value *)outputs[i])->count))
            return false;
    return true;
}

static PyObject *list_of(Value *const *nodes, Py_ssize_t count)
{
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++)
        PyList_SET_ITEM(list, i, Py_NewRef((PyObject *)nodes[i]));
    return list;
}

static PyObject *native_order(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    bool named = names && PyTuple_GET_SIZE(names) == 1
                 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "leaves") == 0;
    if ((names && !named) || !all_made(args, count))
        return NOT_MINE;
    PyObject *given = named ? args[count] : NULL;
    if (given && !PyList_CheckExact(given) && !PyTuple_CheckExact(given) && !PyDict_CheckExact(given))
        return NOT_MINE;
    PyObject *leaves = given ? PySequence_Tuple(given) : PyTuple_New(0), *result = NOT_MINE;
    if (!leaves)
        return NULL;
    if (all_values(((PyTupleObject *)leaves)->ob_item, PyTuple_GET_SIZE(leaves))) {
        Sweep sweep = new_sweep();
        bool found = find_order(&sweep, args, count, ((PyTupleObject *)leaves)->ob_item, PyTuple_GET_SIZE(leaves));
        result = found ? list_of(sweep.order, sweep.count) : NULL;
        end(&sweep);
    }
    Py_DECREF(leaves);
    return result;
}

typedef PyObject *(*From)(PyObject *const *outputs, const double *seeds, Py_ssize_t count);

/* Outputs and seeds as `_seeded` in sweep.py takes them, if they are Values (or one) and floats (or one, or none). */
static PyObject *call_from(From from, Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count < 1 || count > 2)
        return NOT_MINE;
    PyObject *outputs = is_value(args[0])                                        ? PyTuple_Pack(1, args[0])
                        : PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0]) ? PySequence_Tuple(args[0])
                                                                                 : NOT_MINE;
    if (!outputs || outputs == NOT_MINE)
        return outputs;
    PyObject *seeds = count > 1 && args[1] != Py_None ? args[1] : NULL, *result = NOT_MINE;
    Row row = {0};
    Py_ssize_t n = PyTuple_GET_SIZE(outputs);
    double *numbers = NULL;
    if (seeds && (PyList_CheckExact(seeds) || PyTuple_CheckExact(seeds)))
        open_row(seeds, &row);
    else if (seeds)
        row = (Row){.items = &args[1], .count = 1};
    bool mine = all_made(((PyTupleObject *)outputs)->ob_item, n) && (!seeds || row.count == n);
    if (mine && seeds && !(numbers = PyMem_Malloc((size_t)n * sizeof(double))))
        result = PyErr_NoMemory();
    for (Py_ssize_t i = 0; numbers && mine && i < n; i++)
        mine = take(row.items[i], &numbers[i]) == 0;
    if (mine && result)
        result = from(((PyTupleObject *)outputs)->ob_item, numbers, n);
    PyMem_Free(numbers);
    Py_DECREF(outputs);
    return result;
}

static PyObject *native_backward(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_from(backward_from, self, args, count, names);
}

/* `Value.backward`, whose one seed stands without a list. */
static PyObject *native_backward_method(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    double seed = 1.0;
    if (names || capturing() || count < 1 || count > 2 || !is_value(args[0]) || (count == 2 && take(args[1], &seed) != 0))
        return NOT_MINE;
    return backward_from(args, &seed, 1);
}

static PyObject *native_record_sweep(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_from(record_from, self, args, count, names);
}

static PyObject *native_zero_grad(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 1 || !is_value(args[0]))
        return NOT_MINE;
    Sweep sweep = new_sweep();
    bool found = find_order(&sweep, args, 1, NULL, 0);
    for (Py_ssize_t i = 0; found && i < sweep.count; i++)
        sweep.order[i]->grad = 0.0;
    end(&sweep);
    return found ? Py_NewRef(Py_None) : NULL;
}

/* A given order as a sweep, if it is of distinct Values and every message stays inside it. */
static bool take_order(Sweep *sweep, PyObject *order)
{
    begin(sweep);
    bool fine = true;
    for (Py_ssize_t i = 0; fine && i < PyTuple_GET_SIZE(order); i++) {
        PyObject *node = PyTuple_GET_ITEM(order, i);
        fine = is_value(node) && !seen(sweep, (Value *)node) && place(sweep, (Value *)node, false);
    }
    publish(sweep);
    mark_places(sweep);
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++) {
        Slots slots = slots_of(sweep->order[i]);
        for (uint32_t slot = 0; fine && slot < sweep->order[i]->count; slot++)
            fine = !(slots.kinds[slot] & LOCAL) || seen(sweep, slots.operands[slot].node);
    }
    return fine;
}

static bool take_seeds(Sweep *sweep, PyObject *seeds)
{
    Py_ssize_t position = 0;
    PyObject *node, *seed;
    if (!make_numbers(sweep))
        return false;
    while (PyDict_Next(seeds, &position, &node, &seed)) {
        if (!is_value(node) || !seen(sweep, (Value *)node) || !PyFloat_CheckExact(seed))
            return false;
        add_at(sweep, place_of(sweep, (Value *)node), PyFloat_AS_DOUBLE(seed));
    }
    return true;
}

static PyObject *numbers_by_node(const Sweep *sweep, PyObject *seeds)
{
    PyObject *result = PyDict_Copy(seeds);
    for (Py_ssize_t i = 0; result && i < sweep->count; i++) {
        if (!sweep->reached[i])
            continue;
        PyObject *number = PyFloat_FromDouble(sweep->numbers[i]);
        if (!number || PyDict_SetItem(result, (PyObject *)sweep->order[i], number) < 0)
            Py_CLEAR(result);
        Py_XDECREF(number);
    }
    return result;
}

/* `reverse` and `forward` on floats, by the recorded derivatives. */
static PyObject *call_sweep(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names, bool back)
{
    if (names || count < 2 || count > 3 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]))
        return NOT_MINE;
    PyObject *recorded = count == 3 ? look_up(sweep_globals, "recorded") : NULL;
    if (count == 3 && args[2] != recorded)
        return recorded ? NOT_MINE : NULL;
    Sweep sweep = new_sweep();
    PyObject *order = PyList_AsTuple(args[0]), *result = NOT_MINE;
    if (order && take_order(&sweep, order) && take_seeds(&sweep, args[1])) {
        if (back ? send_all(&sweep) : pass_all(&sweep))
            result = numbers_by_node(&sweep, args[1]);
        else
            result = NULL;
    } else if (PyErr_Occurred()) {
        result = NULL;
    }
    Py_XDECREF(order);
    end(&sweep);
    return result;
}

static PyObject *native_reverse(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_sweep(self, args, count, names, true);
}

static PyObject *native_forward(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return call_sweep(self, args, count, names, false);
}

/* ---- the functions of graphs.py ---- */

static bool find_exact_order(Sweep *sweep, PyObject *output, bool *exact)
{
    if (!find_order(sweep, &output, 1, NULL, 0))
        return false;
    *exact = true;
    for (Py_ssize_t i = 0; *exact && i < sweep->count; i++)
        *exact = Py_IS_TYPE((PyObject *)sweep->order[i], ValueType);
    return true;
}

static Value *copy_with(Value *node, PyObject *memo)
{
    Slots from = slots_of(node), into;
    Value *twin = new_node(node->data, node->rule);
    if (!twin || !make_room(twin, node->count, &into)) {
        Py_XDECREF(twin);
        return NULL;
    }
    twin->grad = node->grad;
    twin->label = Py_XNewRef(node->label);
    twin->source = Py_XNewRef(node->source);
    for (uint32_t i = 0; i < node->count; i++) {
        PyObject *operand = NULL;
        if (from.kinds[i] & NODE) {
            PyObject *key = PyLong_FromVoidPtr(from.operands[i].node);
            operand = key ? PyDict_GetItemWithError(memo, key) : NULL;
            Py_XDECREF(key);
            if (!operand || !is_value(operand)) {
                if (!PyErr_Occurred())
                    PyErr_SetString(PyExc_TypeError, "the memo of a deep copy has no Value for a Value");
                twin->count = i;
                Py_DECREF(twin);
                return NULL;
            }
        }
        set_operand(into, i, operand, from.kinds[i] & NODE, from.operands[i].constant, from.kinds[i] & LOCAL,
                    from.local[i]);
        twin->count = i + 1;
    }
    return twin;
}

static bool copy_into(Value *node, PyObject *memo)
{
    Value *twin = NULL;
    PyObject *key = PyLong_FromVoidPtr(node);
    int known = key ? PyDict_Contains(memo, key) : -1;
    bool fine = known == 1 || (known == 0 && (twin = copy_with(node, memo)) && !PyDict_SetItem(memo, key, (PyObject *)twin));
    Py_XDECREF(key);
    Py_XDECREF(twin);
    return fine;
}

static PyObject *native_copy_graph(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 2 || !is_value(args[0]) || !PyDict_CheckExact(args[1]))
        return NOT_MINE;
    Sweep sweep = new_sweep();
    bool exact;
    PyObject *result = NULL;
    if (find_exact_order(&sweep, args[0], &exact)) {
        Py_ssize_t i = 0;
        while (exact && i < sweep.count && copy_into(sweep.order[i], args[1]))
            i++;
        if (!exact) {
            result = NOT_MINE;
        } else if (i == sweep.count) {
            PyObject *key = PyLong_FromVoidPtr(args[0]);
            result = key ? Py_XNewRef(PyDict_GetItemWithError(args[1], key)) : NULL;
            Py_XDECREF(key);
        }
    }
    end(&sweep);
    return result;
}

static PyObject *or_none(PyObject *object) { return object ? object : Py_None; }

static PyObject *operands_by_place(const Sweep *sweep, Value *node, const Py_ssize_t *places)
{
    Slots slots = slots_of(node);
    PyObject *list = PyList_New(node->count);
    for (uint32_t i = 0; list && i < node->count; i++) {
        PyObject *item = slots.kinds[i] & NODE
                             ? PyLong_FromSsize_t(places[place_of(sweep, slots.operands[i].node)])
                             : PyFloat_FromDouble(slots.operands[i].constant);
        if (item)
            PyList_SET_ITEM(list, i, item);
        else
            Py_CLEAR(list);
    }
    return list;
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

static PyObject *record_of(const Sweep *sweep, Value *node, const Py_ssize_t *places)
{
    PyObject *operands = operands_by_place(sweep, node, places), *local = get_local_grads((PyObject *)node, NULL);
    PyObject *result = NULL;
    if (operands && local)
        result = Py_BuildValue("(dOOOOdO)", node->data, or_none(node->rule), operands, local, or_none(node->label),
                               node->grad, or_none(node->source));
    Py_XDECREF(operands);
    Py_XDECREF(local);
    return result;
}

/* Leaves and records in two lists; first come the leaves, as places go. */
static bool fill_records(Sweep *sweep, PyObject *leaves, PyObject *records)
{
    Py_ssize_t *places = PyMem_Malloc((size_t)sweep->count * sizeof(Py_ssize_t)), leaf_count = 0, inner_count = 0;
    bool fine = places || PyErr_NoMemory();
    mark_places(sweep);
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++) {
        bool leaf = !sweep->order[i]->count;
        places[i] = leaf ? leaf_count++ : inner_count++;
        fine = !leaf || PyList_Append(leaves, (PyObject *)sweep->order[i]) == 0;
    }
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++)
        places[i] += sweep->order[i]->count ? leaf_count : 0;
    for (Py_ssize_t i = 0; fine && i < sweep->count; i++) {
        if (!sweep->order[i]->count)
            continue;
        PyObject *fields = record_of(sweep, sweep->order[i], places);
        fine = fields && PyList_Append(records, fields) == 0;
        Py_XDECREF(fields);
    }
    PyMem_Free(places);
    return fine;
}

/* The garbage collector, which may run Python code, waits until the marks have been read. */
static PyObject *native_reduce_graph(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 1 || !Py_IS_TYPE(args[0], ValueType) || !((Value *)args[0])->count)
        return NOT_MINE;
    Sweep sweep = new_sweep();
    bool exact;
    PyObject *result = NULL, *restore = look_up(PyFunction_GetGlobals(self->python), "restore_graph");
    int collecting = PyGC_Disable();
    if (restore && find_exact_order(&sweep, args[0], &exact)) {
        PyObject *leaves = exact ? PyList_New(0) : NULL, *records = exact ? PyList_New(0) : NULL;
        if (!exact)
            result = NOT_MINE;
        else if (leaves && records && fill_records(&sweep, leaves, records))
            result = Py_BuildValue("(O(OOO))", restore, ValueType, leaves, records);
        Py_XDECREF(leaves);
        Py_XDECREF(records);
    }
    if (collecting)
        PyGC_Enable();
    end(&sweep);
    return result;
}

static bool fill(Value *node, PyObject *rule, PyObject *operands, PyObject *local_grads);
static inline bool is_text(PyObject *object) { return object == Py_None || PyUnicode_CheckExact(object); }

static Value *restore_record(PyObject *fields, Value *const *nodes, Py_ssize_t known)
{
    if (!PyTuple_CheckExact(fields) || PyTuple_GET_SIZE(fields) != 7 || !PyList_CheckExact(PyTuple_GET_ITEM(fields, 2)))
        return NULL;
    double data, grad;
    PyObject **field = ((PyTupleObject *)fields)->ob_item, *places = field[2];
    if (take(field[0], &data) || take(field[5], &grad) || !PyTuple_CheckExact(field[3]) || !is_text(field[4])
        || !is_text(field[6]) || !Py_IS_TYPE(field[1], Py_TYPE(rules[0])))
        return NULL;
    PyObject *operands = PyTuple_New(PyList_GET_SIZE(places));
    for (Py_ssize_t i = 0; operands && i < PyList_GET_SIZE(places); i++) {
        PyObject *item = PyList_GET_ITEM(places, i);
        Py_ssize_t at = PyLong_CheckExact(item) ? PyLong_AsSsize_t(item) : PyFloat_CheckExact(item) ? known : -1;
        if (at < 0 || (at >= known && !PyFloat_CheckExact(item)))
            Py_CLEAR(operands);
        else
            PyTuple_SET_ITEM(operands, i, Py_NewRef(at < known ? (PyObject *)nodes[at] : item));
    }
    Value *node = operands ? new_node(data, NULL) : NULL;
    if (node) {
        node->grad = grad;
        node->label = field[4] == Py_None ? NULL : Py_NewRef(field[4]);
        node->source = field[6] == Py_None ? NULL : Py_NewRef(field[6]);
        if (!fill(node, field[1], operands, field[3]))
            Py_CLEAR(node);
    }
    Py_XDECREF(operands);
    return node;
}

static PyObject *native_restore_graph(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || capturing() || count != 3 || args[0] != (PyObject *)ValueType || !PyList_CheckExact(args[1])
        || !PyList_CheckExact(args[2]) || !PyList_GET_SIZE(args[2])
        || !all_values(((PyListObject *)args[1])->ob_item, PyList_GET_SIZE(args[1])))
        return NOT_MINE;
    Py_ssize_t known = PyList_GET_SIZE(args[1]), all = known + PyList_GET_SIZE(args[2]), made = known;
    Value **nodes = PyMem_Malloc((size_t)all * sizeof(Value *));
    if (!nodes)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < known; i++)
        nodes[i] = (Value *)Py_NewRef(PyList_GET_ITEM(args[1], i));
    while (made < all && (nodes[made] = restore_record(PyList_GET_ITEM(args[2], made - known), nodes, made)))
        made++;
    PyObject *result = made == all ? Py_NewRef((PyObject *)nodes[all - 1]) : NOT_MINE;
    PyErr_Clear(); /* Python says what is wrong with the record */
    while (made)
        Py_DECREF(nodes[--made]);
    PyMem_Free(nodes);
    return result;
}

/* ---- the class ---- */

static PyObject *python_init, *python_data, *python_grad, *python_bool, *python_comparisons[6];

static void set_field(PyObject **field, PyObject *object)
{
    PyObject *before = *field;
    *field = object == Py_None ? NULL : Py_NewRef(object);
    Py_XDECREF(before);
}

/* A label or a source line; Python code says what to do with anything but text and None. */
static PyObject *as_text(PyObject *given, const char *field)
{
    return is_text(given) ? Py_NewRef(given) : PyObject_CallFunction(to_text, "Os", given, field);
}

/* Rule and operands of a node that has none yet. */
static bool fill(Value *node, PyObject *rule, PyObject *operands, PyObject *local_grads)
{
    Slots slots;
    Py_ssize_t n = PyTuple_GET_SIZE(operands);
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
    if (fine && (node->rule || node->count)) { /* Python code that made the numbers has filled it meanwhile */
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

static void value_free(void *node) { give_back(node); } /* subclasses have another one */
static PyObject *value_new(PyTypeObject *type, PyObject *args, PyObject *names) { return type->tp_alloc(type, 0); }

static int compare(double a, double b, int operation)
{
    switch (operation) {
    case Py_LT: return a < b;
    case Py_LE: return a <= b;
    case Py_EQ: return a == b;
    case Py_NE: return a != b;
    case Py_GT: return a > b;
    default: return a >= b;
    }
}

static PyObject *value_compare(PyObject *self, PyObject *other, int operation)
{
    if (is_value(other) && !capturing())
        return PyBool_FromLong(compare(((Value *)self)->data, ((Value *)other)->data, operation));
    if (PyFloat_CheckExact(other) && !capturing())
        return PyBool_FromLong(compare(((Value *)self)->data, PyFloat_AS_DOUBLE(other), operation));
    PyObject *const both[] = {self, other};
    return PyObject_Vectorcall(python_comparisons[operation], both, 2, NULL);
}

static Py_hash_t value_hash(PyObject *self) { return PyBaseObject_Type.tp_hash(self); }

static int value_bool(PyObject *self)
{
    if (!capturing())
        return ((Value *)self)->data != 0.0;
    PyObject *truth = PyObject_CallOneArg(python_bool, self);
    Py_XDECREF(truth);
    return truth ? truth == Py_True : -1;
}

static PyObject *get_data(PyObject *self, void *unused)
{
    if (capturing())
        return Py_TYPE(python_data)->tp_descr_get(python_data, self, (PyObject *)Py_TYPE(self));
    return PyFloat_FromDouble(((Value *)self)->data);
}

static PyObject *get_grad(PyObject *self, void *unused)
{
    if (capturing())
        return Py_TYPE(python_grad)->tp_descr_get(python_grad, self, (PyObject *)Py_TYPE(self));
    return PyFloat_FromDouble(((Value *)self)->grad);
}

static PyObject *get_op(PyObject *self, void *unused) { return Py_NewRef(or_none(((Value *)self)->rule)); }

static int set_data(PyObject *self, PyObject *number, void *unused)
{
    if (!number || !PyFloat_CheckExact(number) || ((Value *)self)->rule || capturing())
        return Py_TYPE(python_data)->tp_descr_set(python_data, self, number);
    ((Value *)self)->data = PyFloat_AS_DOUBLE(number);
    return 0;
}

static int set_grad(PyObject *self, PyObject *number, void *unused)
{
    if (!number || !PyFloat_CheckExact(number) || capturing())
        return Py_TYPE(python_grad)->tp_descr_set(python_grad, self, number);
    ((Value *)self)->grad = PyFloat_AS_DOUBLE(number);
    return 0;
}

static const struct text {
    const char *name;
    size_t offset;
} LABEL = {"label", offsetof(Value, label)}, SOURCE = {"source", offsetof(Value, source)};

static PyObject **text_of(PyObject *self, const void *field)
{
    return (PyObject **)((char *)self + ((const struct text *)field)->offset);
}

static PyObject *get_text(PyObject *self, void *field) { return Py_NewRef(or_none(*text_of(self, field))); }

static int set_text(PyObject *self, PyObject *given, void *field)
{
    const char *name = ((const struct text *)field)->name;
    if (!given) {
        PyErr_Format(PyExc_AttributeError, "the %s of a Value cannot be deleted: assign None", name);
        return -1;
    }
    PyObject *text = as_text(given, name);
    if (!text)
        return -1;
    set_field(text_of(self, field), text);
    Py_DECREF(text);
    return 0;
}

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

static PyObject *value_sizeof(PyObject *self, PyObject *unused)
{
    Value *node = (Value *)self;
    size_t block = node->count > FEW ? node->count * (sizeof(Operand) + sizeof(double) + 1) : 0;
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize + block);
}

static PyGetSetDef value_getset[] = {
    {"data", get_data, set_data, "The number; assignable on a leaf.", NULL},
    {"grad", get_grad, set_grad, "The derivatives by this node that `backward` calls have added up.", NULL},
    {"op", get_op, NULL, "The row of the table that made the node; None for a leaf.", NULL},
    {"operands", get_operands, NULL, "What it was computed from: Values and plain floats, in order.", NULL},
    {"local_grads", get_local_grads, NULL, "The local derivatives; None where no message goes.", NULL},
    {"parents", get_parents, NULL, "The Values among the operands.", NULL},
    {"label", get_text, set_text, "A name, or None.", (void *)&LABEL},
    {"source", get_text, set_text, "The line that made the node, if it was noted.", (void *)&SOURCE},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef value_members[] = {
    {"_data", T_DOUBLE, offsetof(Value, data), 0, NULL},
    {"_grad", T_DOUBLE, offsetof(Value, grad), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Value, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef value_methods[] = {
    {"__sizeof__", value_sizeof, METH_NOARGS, "Bytes of the node with its operands."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot value_slots[] = {
    {Py_tp_new, value_new},
    {Py_tp_alloc, value_alloc},
    {Py_tp_free, value_free},
    {Py_tp_dealloc, value_dealloc},
    {Py_tp_hash, value_hash},
    {Py_tp_richcompare, value_compare},
    {Py_tp_getset, value_getset},
    {Py_tp_members, value_members},
    {Py_tp_methods, value_methods},
    {Py_nb_bool, value_bool},
    {Py_nb_add, value_add_node},
    {Py_nb_subtract, value_sub_node},
    {Py_nb_multiply, value_mul_node},
    {Py_nb_true_divide, value_div_node},
    {Py_nb_remainder, value_mod_node},
    {Py_nb_floor_divide, value_floordiv_node},
    {Py_nb_power, value_pow_node},
    {Py_nb_negative, value_neg_node},
    {0, NULL},
};

static PyType_Spec value_spec = {
    .name = "autograd.value.Value",
    .basicsize = sizeof(Value),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = value_slots,
};

/* ---- the module ---- */

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

/* fast(function, row=None): the function with its common case in C; itself, if none is known here. */
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
        row_values[rule] = PyObject_GetAttrString(row, "value");
        if (!code || !row_values[rule] || PyDict_SetItem(rule_codes, row, code) < 0)
            return false;
        Py_DECREF(code);
    }
    return true;
}

/* The methods of the class in value.py that operators, comparisons and assignments turn to. */
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

/* setup(python_class, table, mode, captures, to_float, caller, raise_made, to_text, note_made): what value.py gives. */
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
    {"setup", value_setup, METH_VARARGS, "Give the C build what it needs of value.py; return the class."},
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
    if (!(apply_rule_name = PyUnicode_InternFromString("apply_rule")) || PyType_Ready(&NativeType) < 0 || !(ValueType = (PyTypeObject *)PyType_FromSpec(&value_spec)))
        return -1;
    ValueType->tp_name = "Value"; /* what error messages say, as of a class made by Python */
    ValueType->tp_vectorcall = value_vectorcall;
    return 0;
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
