/* The fast path from a Python call to machine code; fast_path.py describes the arguments and results.

A `FastPath` knows one structure of arguments and the machine code for it. It checks the arguments, writes their numbers
into buffers, runs the code with the GIL released, and makes the result. `Entry` is the base of `Compiled`. When it is
called, it tries the fast paths that were used last. If none fits, it calls the method `_call`, which takes any arguments.
A function with static arguments has a `Fixed` for each combination of them, which calls the entry that is compiled for it.

No Python code runs between the check of an argument and its use. This file checks that the arguments fit the description;
fast_path.py makes sure that the description fits the machine code. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#include "_ndarray.h"
#include "_watch.h"

#define ALIGNMENT 64 /* of all buffers */
#define DEEPEST 64   /* nested containers */
#define LARGEST (PY_SSIZE_T_MAX / 64) /* numbers, or bytes, of a buffer */
#define RECENT 8     /* fast paths that an entry tries */
#define SPARES 2     /* large results whose memory may be used again: `y = f(x)` in a loop holds one and makes another */
#define LARGE 4194304 /* bytes of such a result; for smaller ones the C library has memory at hand */
#define MOST_ARGUMENTS 32 /* of a call with static ones; with more, it takes the slow path */

static char miss;
#define INTERRUPTED (-2)         /* a handler of a signal raised while a loop ran: see lower/whiles.py */
#define MISS ((PyObject *)&miss) /* the arguments do not fit, or a guard failed; it never leaves this file */

static PyObject *mode_variable, *call_name, *data_name;

/* ---- descriptions: (kind, detail, parts), see fast_path.py ---- */

typedef enum { NONE, FLOAT, ARRAY, ROWS, LIST, TUPLE, DICT, MADE, KINDS } Kind;
static const char *const KIND_NAMES[] = {"none", "float", "array", "rows", "list", "tuple", "dict", "made"};

typedef struct Part {
    Kind kind;
    int ndim;
    Py_ssize_t count;  /* parts of a container; numbers of an array, or in one of its rows */
    Py_ssize_t *shape; /* of an array, or of one of its rows */
    PyObject *detail;  /* the shape, a dict's keys, or a callable: a tuple */
    struct Part *parts;
} Part;

static void forget_part(Part *part)
{
    for (Py_ssize_t i = 0; part->parts && i < part->count; i++)
        forget_part(&part->parts[i]);
    PyMem_Free(part->parts);
    PyMem_Free(part->shape);
    Py_XDECREF(part->detail);
}

static bool read_shape(Part *part)
{
    Py_ssize_t ndim = PyTuple_GET_SIZE(part->detail);
    if (!(part->shape = PyMem_Calloc((size_t)ndim + 1, sizeof *part->shape)))
        return PyErr_NoMemory() != NULL;
    part->ndim = (int)ndim;
    part->count = 1;
    for (Py_ssize_t i = 0; i < ndim; i++) {
        if ((part->shape[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(part->detail, i))) < 0) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_ValueError, "a side of an array cannot be negative");
            return false;
        }
        if (part->shape[i] && part->count > PY_SSIZE_T_MAX / 8 / part->shape[i]) {
            PyErr_SetString(PyExc_ValueError, "an array is too large");
            return false;
        }
        part->count *= part->shape[i];
    }
    return true;
}

static bool read_part(Part *part, PyObject *description, int depth);

static bool read_parts(Part *part, PyObject *parts, int depth)
{
    Py_ssize_t count = PyTuple_GET_SIZE(parts);
    if (depth == DEEPEST || (part->kind == DICT && PyTuple_GET_SIZE(part->detail) != count)
        || (part->kind == MADE && (PyTuple_GET_SIZE(part->detail) != 1 || count != 1))) {
        PyErr_SetString(PyExc_ValueError, "a container is too deep, or has not as many keys as parts");
        return false;
    }
    if (!(part->parts = PyMem_Calloc((size_t)count + 1, sizeof *part->parts)))
        return PyErr_NoMemory() != NULL;
    part->count = count;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!read_part(&part->parts[i], PyTuple_GET_ITEM(parts, i), depth + 1))
            return false;
    return true;
}

static bool read_part(Part *part, PyObject *description, int depth)
{
    const char *name;
    PyObject *parts;
    if (!PyArg_ParseTuple(description, "sO!O!", &name, &PyTuple_Type, &part->detail, &PyTuple_Type, &parts)) {
        part->detail = NULL;
        return false;
    }
    Py_INCREF(part->detail);
    while (part->kind < KINDS && strcmp(name, KIND_NAMES[part->kind]))
        part->kind++;
    if (part->kind == KINDS) {
        PyErr_Format(PyExc_ValueError, "no part of a description is called %s", name);
        return false;
    }
    if (part->kind == ARRAY || part->kind == ROWS)
        return read_shape(part);
    return part->kind < LIST || read_parts(part, parts, depth);
}

/* How many numbers a part has in the buffers; rows stay in their arrays. */
static Py_ssize_t numbers_of(const Part *part)
{
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; part->parts && i < part->count; i++)
        total += numbers_of(&part->parts[i]);
    return part->kind == FLOAT ? 1 : part->kind == ARRAY ? part->count : total;
}

/* The array that is the whole result, apart from containers; or NULL. */
static const Part *only_array(const Part *part)
{
    while (part->kind >= LIST && part->count == 1)
        part = part->parts;
    return part->kind == ARRAY ? part : NULL;
}

/* How many arrays of rows are in a part; if `found` is not NULL, they are stored there. */
static Py_ssize_t rows_of(const Part *part, const Part **found)
{
    Py_ssize_t count = 0;
    if (part->kind == ROWS && found)
        *found = part;
    for (Py_ssize_t i = 0; part->parts && i < part->count; i++)
        count += rows_of(&part->parts[i], found ? found + count : NULL);
    return part->kind == ROWS ? 1 : count;
}

/* ---- a fast path and its buffers ---- */

/* The buffers of one call at a time: this struct, then what `block` points to. */
typedef struct Frame {
    struct Frame *next;
    int64_t block[4];   /* what the machine code is given: inputs, table of rows, outputs, workspace */
    PyObject *arrays[]; /* of rows: the arguments', owned only while the code runs; the results', owned */
} Frame;

typedef struct {
    PyObject_HEAD
    Part arguments, results;
    PyObject *leaves, *code; /* Values that the function closes over; what keeps the machine code in memory */
    PyObject *table;         /* the bytes of the last inputs, which are the same at every call; or NULL */
    Watch *watch;            /* over what else it reads outside its arguments: the code is valid while that is the same */
    int64_t (*run)(int64_t inputs, int64_t table, int64_t outputs, int64_t workspace);
    Py_ssize_t inputs, outputs, work; /* numbers, numbers, bytes */
    Py_ssize_t skews[2];              /* bytes after a multiple of ALIGNMENT at which inputs and outputs begin */
    Py_ssize_t given;                 /* inputs that are not leaves */
    Py_ssize_t mapped, stacked;       /* arrays of rows among the arguments and among the results */
    const Part **rows;                /* the latter */
    const Part *whole;                /* the array that all outputs are: the code writes straight into it; or NULL */
    PyObject *spares[SPARES];         /* the last such arrays, if they are large */
    bool guards, retired;             /* whether a row may fail a guard, and whether one did: then the slow path is better */
    Frame *pool;
} FastPath;

static PyTypeObject *FastPathType;

static inline double *inputs_of(Frame *frame) { return (double *)(intptr_t)frame->block[0]; }
static inline int64_t *table_of(Frame *frame) { return (int64_t *)(intptr_t)frame->block[1]; }
static inline double *outputs_of(Frame *frame) { return (double *)(intptr_t)frame->block[2]; }

/* The table has the number of rows; for each array its address, and the bytes from row to row and from number to number;
and, if rows may fail guards, the address of a byte for each row. */
static Frame *new_frame(const FastPath *fast)
{
    size_t sizes[4] = {
        (size_t)fast->inputs * sizeof(double), (size_t)(2 + 3 * (fast->mapped + fast->stacked)) * sizeof(int64_t),
        (size_t)fast->outputs * sizeof(double), (size_t)fast->work,
    };
    size_t total = sizeof(Frame) + (size_t)(fast->mapped + fast->stacked) * sizeof(PyObject *);
    Frame *frame = PyMem_RawCalloc(1, total + sizes[0] + sizes[1] + sizes[2] + sizes[3] + 7 * ALIGNMENT);
    if (!frame)
        return (Frame *)PyErr_NoMemory();
    uintptr_t at = (uintptr_t)frame + total;
    for (int i = 0; i < 4; i++) {
        at = (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + (i % 2 ? 0 : (size_t)fast->skews[i / 2]);
        frame->block[i] = (int64_t)at;
        at += sizes[i];
    }
    if (fast->table) {
        size_t size = (size_t)PyBytes_GET_SIZE(fast->table);
        memcpy((char *)inputs_of(frame) + sizes[0] - size, PyBytes_AS_STRING(fast->table), size);
    }
    return frame;
}

static inline Frame *take_frame(FastPath *fast)
{
    Frame *frame = fast->pool;
    if (!frame)
        return new_frame(fast);
    fast->pool = frame->next;
    return frame;
}

static inline void give_back(FastPath *fast, Frame *frame)
{
    frame->next = fast->pool;
    fast->pool = frame;
}

/* ---- arguments ---- */

#define ANY (-1)

typedef struct {
    double *numbers;
    int64_t *table;
    PyObject **arrays;
    int64_t rows;
} Given; /* where the next argument goes, and how many rows there are */

/* A float, one of NumPy's, or an int that is not very large. */
static inline bool take_number(PyObject *object, double *number)
{
    if (PyFloat_CheckExact(object) || Py_IS_TYPE(object, NumberType)) {
        *number = PyFloat_AS_DOUBLE(object);
        return true;
    }
    if (!PyLong_CheckExact(object))
        return false;
    int overflow; /* PyLong_AsDouble would raise an exception, and an allocation may run Python code */
    *number = (double)PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

static inline bool take_array(const Part *part, PyObject *object, Given *given)
{
    Array *array = (Array *)object;
    if (!is_doubles(object) || array->ndim != part->ndim || !same_shape(array->shape, part->shape, part->ndim))
        return false;
    copy_numbers(given->numbers, array, part->count);
    given->numbers += part->count;
    return true;
}

/* An array whose rows the machine code reads in place. There is at least one row, and as many in each array; the numbers of
a row are evenly spaced. */
static inline bool take_rows(const Part *part, PyObject *object, Given *given)
{
    Array *array = (Array *)object;
    if (!is_doubles(object) || array->ndim != part->ndim + 1 || !same_shape(array->shape + 1, part->shape, part->ndim)
        || !(array->flags & ALIGNED) || (part->ndim > 1 && !(array->flags & CONTIGUOUS)))
        return false;
    if (given->rows == ANY)
        given->rows = array->shape[0];
    *given->table++ = (int64_t)(intptr_t)array->data;
    *given->table++ = array->strides[0];
    *given->table++ = part->ndim == 1 ? array->strides[1] : 8;
    *given->arrays++ = object;
    return array->shape[0] == given->rows && given->rows != 0;
}

static bool take(const Part *part, PyObject *object, Given *given);

static bool take_parts(const Part *part, PyObject *const *objects, Py_ssize_t count, Given *given)
{
    if (count != part->count)
        return false;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!take(&part->parts[i], objects[i], given))
            return false;
    return true;
}

static bool same_key(PyObject *key, PyObject *expected)
{
    return key == expected
           || (PyUnicode_CheckExact(key) && PyUnicode_CheckExact(expected) && PyUnicode_Compare(key, expected) == 0);
}

static bool take_items(const Part *part, PyObject *dict, Given *given)
{
    Py_ssize_t position = 0, i = 0;
    PyObject *key, *item;
    if (PyDict_GET_SIZE(dict) != part->count)
        return false;
    for (; PyDict_Next(dict, &position, &key, &item); i++)
        if (!same_key(key, PyTuple_GET_ITEM(part->detail, i)) || !take(&part->parts[i], item, given))
            return false;
    return true;
}

/* Check an argument, or a part of one, and write its numbers. */
static bool take(const Part *part, PyObject *object, Given *given)
{
    switch (part->kind) {
    case FLOAT:
        return take_number(object, given->numbers++);
    case ARRAY:
        return take_array(part, object, given);
    case ROWS:
        return take_rows(part, object, given);
    case LIST:
        return PyList_CheckExact(object) && take_parts(part, ((PyListObject *)object)->ob_item, Py_SIZE(object), given);
    case TUPLE:
        return PyTuple_CheckExact(object) && take_parts(part, ((PyTupleObject *)object)->ob_item, Py_SIZE(object), given);
    case DICT:
        return PyDict_CheckExact(object) && take_items(part, object, given);
    case NONE:
        return object == Py_None;
    default:
        return false; /* an argument is not made */
    }
}

/* Check all arguments and write them into the frame; `rows`: how many are expected, maybe ANY. */
static bool take_all(const FastPath *fast, Frame *frame, PyObject *const *objects, Py_ssize_t count, int64_t rows)
{
    int64_t *table = table_of(frame);
    Given given = {inputs_of(frame), table + 1, frame->arrays, rows};
    if (!take_parts(&fast->arguments, objects, count, &given))
        return false;
    table[0] = given.rows;
    if (fast->mapped)
        *given.numbers = (double)given.rows;
    return true;
}

/* The numbers of the Values that the function closes over, read afresh. */
static bool take_leaves(const FastPath *fast, double *to)
{
    to += fast->given;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fast->leaves); i++) {
        PyObject *data = PyObject_GetAttr(PyTuple_GET_ITEM(fast->leaves, i), data_name);
        if (!data)
            return false;
        *to = PyFloat_AsDouble(data);
        Py_DECREF(data);
        if (*to++ == -1.0 && PyErr_Occurred())
            return false;
    }
    return true;
}

/* ---- results ---- */

/* Make the arrays for results of all rows, and write their addresses into the table. */
static bool make_stacks(const FastPath *fast, Frame *frame)
{
    PyObject **arrays = frame->arrays + fast->mapped;
    int64_t *table = table_of(frame), *entry = table + 1 + 3 * fast->mapped;
    for (Py_ssize_t i = 0; i < fast->stacked; i++) {
        const Part *part = fast->rows[i];
        PyObject *shape = PyTuple_New(1 + part->ndim), *count = PyLong_FromLongLong(table[0]);
        if (shape && count) {
            PyTuple_SET_ITEM(shape, 0, Py_NewRef(count));
            for (int k = 0; k < part->ndim; k++)
                PyTuple_SET_ITEM(shape, 1 + k, Py_NewRef(PyTuple_GET_ITEM(part->detail, k)));
            arrays[i] = PyObject_CallOneArg(numpy_empty, shape);
        }
        Py_XDECREF(shape);
        Py_XDECREF(count);
        if (!arrays[i])
            return false;
        *entry++ = (int64_t)(intptr_t)((Array *)arrays[i])->data;
        *entry++ = 8 * part->count;
        *entry++ = 8;
    }
    return true;
}

static void drop_stacks(const FastPath *fast, Frame *frame)
{
    for (Py_ssize_t i = fast->mapped; i < fast->mapped + fast->stacked; i++)
        Py_CLEAR(frame->arrays[i]);
}

/* Whether no one else holds an array, and its form is unchanged. */
static bool is_spare(PyObject *object, const Part *part)
{
#ifdef Py_GIL_DISABLED
    return false;
#endif
    if (!object || Py_REFCNT(object) != 1 || !is_doubles(object) || *PyObject_GET_WEAKREFS_LISTPTR(object))
        return false;
    Array *array = (Array *)object;
    int needed = CONTIGUOUS | ALIGNED | WRITEABLE;
    return (array->flags & needed) == needed && !array->base && array->ndim == part->ndim
           && same_shape(array->shape, part->shape, part->ndim);
}

/* A new array for all outputs. A large one takes the memory of an earlier result that is no longer in use, because new
pages from the system cost more than the numbers. */
static PyObject *take_whole(FastPath *fast)
{
    for (int i = 0; i < SPARES; i++)
        if (is_spare(fast->spares[i], fast->whole))
            return Py_NewRef(fast->spares[i]);
    PyObject *array = PyObject_CallOneArg(numpy_empty, fast->whole->detail);
    if (array && fast->outputs >= LARGE / (Py_ssize_t)sizeof(double)) {
        PyObject *last = fast->spares[SPARES - 1];
        memmove(fast->spares + 1, fast->spares, (SPARES - 1) * sizeof *fast->spares);
        fast->spares[0] = Py_NewRef(array);
        Py_XDECREF(last);
    }
    return array;
}

typedef struct {
    const double *numbers;
    PyObject **stacks;
    PyObject *whole;
} Results; /* those not taken yet */

static PyObject *make_array(const Part *part, Results *results)
{
    if (results->whole)
        return Py_NewRef(results->whole);
    PyObject *array = PyObject_CallOneArg(numpy_empty, part->detail);
    if (array)
        memcpy(((Array *)array)->data, results->numbers, (size_t)part->count * sizeof(double));
    results->numbers += part->count;
    return array;
}

static PyObject *make(const Part *part, Results *results);

/* Fill a new list or tuple. */
static PyObject *make_parts(PyObject *sequence, PyObject **items, const Part *part, Results *results)
{
    for (Py_ssize_t i = 0; i < part->count; i++)
        if (!(items[i] = make(&part->parts[i], results))) {
            Py_DECREF(sequence);
            return NULL;
        }
    return sequence;
}

static PyObject *make_list(const Part *part, Results *results)
{
    PyObject *list = PyList_New(part->count);
    return list ? make_parts(list, ((PyListObject *)list)->ob_item, part, results) : NULL;
}

static PyObject *make_tuple(const Part *part, Results *results)
{
    PyObject *tuple = PyTuple_New(part->count);
    return tuple ? make_parts(tuple, ((PyTupleObject *)tuple)->ob_item, part, results) : NULL;
}

static PyObject *make_dict(const Part *part, Results *results)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < part->count; i++) {
        PyObject *item = make(&part->parts[i], results);
        if (!item || PyDict_SetItem(dict, PyTuple_GET_ITEM(part->detail, i), item) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(item);
    }
    return dict;
}

/* What a callable makes of a result. */
static PyObject *make_made(const Part *part, Results *results)
{
    PyObject *given = make(part->parts, results), *made = NULL;
    if (given)
        made = PyObject_CallOneArg(PyTuple_GET_ITEM(part->detail, 0), given);
    Py_XDECREF(given);
    return made;
}

/* A result, or a part of one. */
static PyObject *make(const Part *part, Results *results)
{
    switch (part->kind) {
    case FLOAT:
        return PyFloat_FromDouble(*results->numbers++);
    case ARRAY:
        return make_array(part, results);
    case ROWS:
        return Py_NewRef(*results->stacks++);
    case LIST:
        return make_list(part, results);
    case TUPLE:
        return make_tuple(part, results);
    case DICT:
        return make_dict(part, results);
    case MADE:
        return make_made(part, results);
    default:
        return Py_NewRef(Py_None);
    }
}

/* ---- a call ---- */

/* Run the machine code. Meanwhile another thread may take arrays of rows out of their containers. */
static int64_t run(const FastPath *fast, Frame *frame)
{
    int64_t failed;
    for (Py_ssize_t i = 0; i < fast->mapped; i++)
        Py_INCREF(frame->arrays[i]);
    Py_BEGIN_ALLOW_THREADS
    failed = fast->run(frame->block[0], frame->block[1], frame->block[2], frame->block[3]);
    Py_END_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < fast->mapped; i++)
        Py_DECREF(frame->arrays[i]);
    return failed;
}

/* Run machine code of which rows may fail a guard: whether none did, or -1 with an exception. */
static int run_guarded(FastPath *fast, Frame *frame, int64_t *failed)
{
    int64_t *table = table_of(frame);
    char *marks = PyMem_RawCalloc((size_t)table[0], 1);
    if (!marks) {
        PyErr_NoMemory();
        return -1;
    }
    table[1 + 3 * (fast->mapped + fast->stacked)] = (int64_t)(intptr_t)marks;
    *failed = run(fast, frame);
    for (int64_t row = 0; row < table[0] && !fast->retired; row++)
        fast->retired = marks[row] != 0;
    PyMem_RawFree(marks);
    return !fast->retired;
}

/* Raise what the handler of a signal raised while the machine code ran: see `RAISED` in lower/whiles.py. */
static void raise_again(void)
{
    PyObject *raised = Py_XNewRef(PySys_GetObject("autograd_raised"));
    if (!raised) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return;
    }
    PySys_SetObject("autograd_raised", NULL);
    PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    Py_DECREF(raised);
}

/* Run the code on a frame whose inputs are there. */
static PyObject *run_in(FastPath *fast, Frame *frame, PyObject *whole)
{
    int64_t failed = 0;
    int fine = 1;
    if (fast->guards)
        fine = run_guarded(fast, frame, &failed);
    else
        failed = run(fast, frame);
    if (fine < 0)
        return NULL;
    if (failed == INTERRUPTED)
        raise_again();
    if (failed || !fine)
        return failed == INTERRUPTED ? NULL : MISS;
    return make(&fast->results, &(Results){outputs_of(frame), frame->arrays + fast->mapped, whole});
}

static PyObject *call_in(FastPath *fast, Frame *frame, PyObject *const *objects, Py_ssize_t count)
{
    if (fast->retired || !take_all(fast, frame, objects, count, ANY))
        return MISS;
    PyObject *whole = NULL;
    if (fast->whole && !(whole = take_whole(fast)))
        return NULL;
    PyObject *result = NULL;
    bool leaves = PyTuple_GET_SIZE(fast->leaves) != 0, fine = !leaves || take_leaves(fast, inputs_of(frame));
    if (fine && make_stacks(fast, frame)) {
        /* Code that ran meanwhile may have changed the arguments. Numbers that were copied are not read again. */
        bool again = fast->stacked || leaves || (whole && fast->mapped);
        int64_t outputs = frame->block[2];
        if (whole)
            frame->block[2] = (int64_t)(intptr_t)((Array *)whole)->data;
        result = again && !take_all(fast, frame, objects, count, table_of(frame)[0]) ? MISS : run_in(fast, frame, whole);
        frame->block[2] = outputs;
    }
    Py_XDECREF(whole);
    return result;
}

/* The result for these arguments, or MISS. */
static PyObject *call_fast_path(FastPath *fast, PyObject *const *objects, Py_ssize_t count)
{
    Frame *frame = take_frame(fast);
    if (!frame)
        return NULL;
    PyObject *result = call_in(fast, frame, objects, count);
    drop_stacks(fast, frame);
    give_back(fast, frame);
    return result;
}

/* ---- the type FastPath ---- */

/* Count and find the arrays of rows, and check that the numbers of the description fit into the buffers. */
static bool measure(FastPath *fast)
{
    fast->mapped = rows_of(&fast->arguments, NULL);
    fast->stacked = rows_of(&fast->results, NULL);
    fast->given = numbers_of(&fast->arguments) + (fast->mapped != 0);
    Py_ssize_t table = fast->table ? PyBytes_GET_SIZE(fast->table) / (Py_ssize_t)sizeof(double) : 0;
    if (fast->given + PyTuple_GET_SIZE(fast->leaves) + table > fast->inputs
        || numbers_of(&fast->results) > fast->outputs || fast->work < 0 || fast->given < 0
        || fast->inputs > LARGEST || fast->outputs > LARGEST || fast->work > LARGEST) {
        PyErr_SetString(PyExc_ValueError, "the description has more numbers than the program, or a buffer is too large");
        return false;
    }
    fast->rows = PyMem_Calloc((size_t)fast->stacked + 1, sizeof *fast->rows);
    if (!fast->rows)
        return PyErr_NoMemory() != NULL;
    rows_of(&fast->results, fast->rows);
    fast->whole = only_array(&fast->results);
    if (fast->whole && (fast->whole->count != fast->outputs || !fast->outputs))
        fast->whole = NULL;
    return true;
}

/* FastPath(arguments, results, leaves, code, address, inputs, outputs, work[, watch[, guards[, table[, skew of inputs, skew of
outputs]]]]) */
static PyObject *fast_path_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *arguments, *results, *leaves, *code, *watch = NULL, *table = NULL;
    unsigned long long address;
    Py_ssize_t inputs, outputs, work, skews[2] = {0, 0};
    int guards = 0;
    if (!PyArg_ParseTuple(args, "O!O!O!OKnnn|O!pSnn", &PyTuple_Type, &arguments, &PyTuple_Type, &results, &PyTuple_Type,
                          &leaves, &code, &address, &inputs, &outputs, &work, WatchType, &watch, &guards, &table,
                          &skews[0], &skews[1]))
        return NULL;
    FastPath *fast = (FastPath *)type->tp_alloc(type, 0);
    if (!fast)
        return NULL;
    fast->leaves = Py_NewRef(leaves);
    fast->code = Py_NewRef(code);
    fast->watch = (Watch *)Py_XNewRef(watch);
    fast->table = Py_XNewRef(table);
    fast->run = (int64_t (*)(int64_t, int64_t, int64_t, int64_t))(uintptr_t)address;
    fast->inputs = inputs;
    fast->outputs = outputs;
    fast->work = work;
    for (int i = 0; i < 2; i++)
        fast->skews[i] = skews[i] < 0 || skews[i] >= ALIGNMENT ? 0 : skews[i];
    fast->guards = guards;
    if (!read_part(&fast->arguments, arguments, 0) || !read_part(&fast->results, results, 0) || !measure(fast))
        Py_CLEAR(fast);
    return (PyObject *)fast;
}

static int fast_path_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((FastPath *)self)->leaves);
    Py_VISIT(((FastPath *)self)->code);
    Py_VISIT(((FastPath *)self)->watch);
    return 0;
}

static void fast_path_dealloc(PyObject *self)
{
    FastPath *fast = (FastPath *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    for (Frame *frame; (frame = fast->pool);) {
        fast->pool = frame->next;
        PyMem_RawFree(frame);
    }
    for (int i = 0; i < SPARES; i++)
        Py_XDECREF(fast->spares[i]);
    forget_part(&fast->arguments);
    forget_part(&fast->results);
    PyMem_Free(fast->rows);
    Py_XDECREF(fast->leaves);
    Py_XDECREF(fast->table);
    Py_XDECREF(fast->code);
    Py_XDECREF(fast->watch);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot fast_path_slots[] = {
    {Py_tp_doc, "One structure of arguments, and the machine code for it."},
    {Py_tp_new, fast_path_new},
    {Py_tp_traverse, fast_path_traverse},
    {Py_tp_dealloc, fast_path_dealloc},
    {0, NULL},
};

static PyType_Spec fast_path_spec = {
    .name = "autograd.compiler.run._call.FastPath",
    .basicsize = sizeof(FastPath),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = fast_path_slots,
};

/* ---- what an entry tries ---- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *recent[RECENT]; /* fast paths, or only `Fixed`s; the last used first; NULL after them */
} Entry;

static PyTypeObject *EntryType, *FixedType;

/* Put a fast path, or a `Fixed`, in front; the last one is dropped if there are too many. */
static void prefer(Entry *entry, PyObject *fast)
{
    PyObject *moved = Py_NewRef(fast);
    for (int i = 0; i < RECENT && moved; i++) {
        PyObject *next = entry->recent[i];
        entry->recent[i] = moved;
        moved = next;
        if (next == fast)
            break;
    }
    Py_XDECREF(moved);
}

/* `asked`: the watch that was checked last, owned; `holds`: its answer. Fast paths that share a watch check it once. */
static PyObject *call_watched(FastPath *fast, PyObject *const *objects, Py_ssize_t count, PyObject **asked, int *holds)
{
    if (!fast->watch)
        return call_fast_path(fast, objects, count);
    if ((PyObject *)fast->watch != *asked) {
        Py_XSETREF(*asked, Py_NewRef((PyObject *)fast->watch));
        *holds = watch_holds(fast->watch);
    }
    if (*holds < 0)
        return NULL;
    return *holds ? call_fast_path(fast, objects, count) : MISS;
}

static PyObject *call_recent(Entry *entry, PyObject *const *objects, Py_ssize_t count)
{
    PyObject *asked = NULL, *result = MISS;
    int holds = 0;
    for (int i = 0; i < RECENT && entry->recent[i] && result == MISS; i++) {
        FastPath *fast = (FastPath *)Py_NewRef(entry->recent[i]); /* another thread may replace it */
        result = call_watched(fast, objects, count, &asked, &holds);
        if (result != MISS && i)
            prefer(entry, (PyObject *)fast);
        Py_DECREF(fast);
    }
    Py_XDECREF(asked);
    return result;
}

/* Whether no switch of modes.py is set: 1, 0 or -1. During a capture one is set. */
static inline int mode_is_plain(void)
{
    PyObject *mode;
    if (PyContextVar_Get(mode_variable, NULL, &mode) < 0)
        return -1;
    Py_DECREF(mode);
    return mode == Py_None;
}

static PyObject *call_python(PyObject *self, PyObject *const *objects, Py_ssize_t count, PyObject *names)
{
    PyObject *args = PyTuple_New(count), *keywords = PyDict_New(), *result = NULL;
    for (Py_ssize_t i = 0; args && i < count; i++)
        PyTuple_SET_ITEM(args, i, Py_NewRef(objects[i]));
    for (Py_ssize_t i = 0; keywords && names && i < PyTuple_GET_SIZE(names); i++)
        if (PyDict_SetItem(keywords, PyTuple_GET_ITEM(names, i), objects[count + i]) < 0)
            Py_CLEAR(keywords);
    if (args && keywords)
        result = PyObject_CallMethodObjArgs(self, call_name, args, keywords, NULL);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return result;
}

/* ---- static arguments ---- */

typedef struct {
    PyObject_HEAD
    PyObject *entry;          /* compiled for these static arguments; takes the others */
    PyObject *things;         /* for each argument, by position and then by name: (thing,), or () if it is not static */
    Py_ssize_t count;         /* positional arguments of such a call */
    PyObject *names, *left;   /* of the arguments that are passed by name: of all, and of those that are not static */
} Fixed;

/* Whether two static arguments are the same for every function; static.py says which arguments are compared here. No
Python code runs. */
static bool same_thing(PyObject *one, PyObject *other)
{
    if (one == other)
        return true;
    if (Py_TYPE(one) != Py_TYPE(other))
        return false;
    if (PyUnicode_CheckExact(one))
        return PyUnicode_Compare(one, other) == 0;
    if (PyLong_CheckExact(one))
        return PyObject_RichCompareBool(one, other, Py_EQ) == 1;
    if (PyFloat_CheckExact(one))
        return !memcmp(&((PyFloatObject *)one)->ob_fval, &((PyFloatObject *)other)->ob_fval, sizeof(double));
    if (PyBytes_CheckExact(one))
        return Py_SIZE(one) == Py_SIZE(other)
               && !memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)Py_SIZE(one));
    if (!PyTuple_CheckExact(one) || Py_SIZE(one) != Py_SIZE(other))
        return false;
    for (Py_ssize_t i = 0; i < Py_SIZE(one); i++)
        if (!same_thing(PyTuple_GET_ITEM(one, i), PyTuple_GET_ITEM(other, i)))
            return false;
    return true;
}

static bool same_names(PyObject *names, PyObject *expected)
{
    Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
    if (count != PyTuple_GET_SIZE(expected))
        return false;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!same_key(PyTuple_GET_ITEM(names, i), PyTuple_GET_ITEM(expected, i)))
            return false;
    return true;
}

/* The result of the entry for these static arguments, or MISS. */
static PyObject *call_fixed(Fixed *fixed, PyObject *const *objects, Py_ssize_t count, PyObject *names)
{
    if (count != fixed->count || !same_names(names, fixed->names))
        return MISS;
    PyObject *others[MOST_ARGUMENTS];
    Py_ssize_t left = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fixed->things); i++) {
        PyObject *given = PyTuple_GET_ITEM(fixed->things, i);
        if (!PyTuple_GET_SIZE(given))
            others[left++] = objects[i];
        else if (!same_thing(objects[i], PyTuple_GET_ITEM(given, 0)))
            return MISS;
    }
    Py_ssize_t named = PyTuple_GET_SIZE(fixed->left);
    return ((Entry *)fixed->entry)->call(fixed->entry, others, (size_t)(left - named), named ? fixed->left : NULL);
}

static PyObject *call_chosen(Entry *entry, PyObject *const *objects, Py_ssize_t count, PyObject *names)
{
    PyObject *result = MISS;
    if (Py_EnterRecursiveCall(" in a compiled function"))
        return NULL;
    for (int i = 0; i < RECENT && entry->recent[i] && result == MISS; i++) {
        PyObject *fixed = Py_NewRef(entry->recent[i]); /* another thread may replace it */
        result = call_fixed((Fixed *)fixed, objects, count, names);
        if (result != MISS && i)
            prefer(entry, fixed);
        Py_DECREF(fixed);
    }
    Py_LeaveRecursiveCall();
    return result;
}

/* Whether the arguments of a new `Fixed` fit together. */
static bool fits_together(const Fixed *fixed)
{
    Py_ssize_t count = PyTuple_GET_SIZE(fixed->things), others = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *given = PyTuple_GET_ITEM(fixed->things, i);
        if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) > 1)
            return false;
        others += PyTuple_GET_SIZE(given) == 0;
    }
    return fixed->count >= 0 && count == fixed->count + PyTuple_GET_SIZE(fixed->names) && count <= MOST_ARGUMENTS
           && PyTuple_GET_SIZE(fixed->left) <= others;
}

/* Fixed(entry, things, count, names, left) */
static PyObject *fixed_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *entry, *things, *names, *left;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "O!O!nO!O!", EntryType, &entry, &PyTuple_Type, &things, &count, &PyTuple_Type, &names,
                          &PyTuple_Type, &left))
        return NULL;
    Fixed *fixed = (Fixed *)type->tp_alloc(type, 0);
    if (!fixed)
        return NULL;
    fixed->entry = Py_NewRef(entry);
    fixed->things = Py_NewRef(things);
    fixed->count = count;
    fixed->names = Py_NewRef(names);
    fixed->left = Py_NewRef(left);
    if (!fits_together(fixed)) {
        Py_DECREF(fixed);
        PyErr_Format(PyExc_ValueError, "at most %d arguments, and (thing,) or () for each", MOST_ARGUMENTS);
        return NULL;
    }
    return (PyObject *)fixed;
}

static int fixed_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Fixed *)self)->entry);
    Py_VISIT(((Fixed *)self)->things);
    return 0;
}

static void fixed_dealloc(PyObject *self)
{
    Fixed *fixed = (Fixed *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(fixed->entry);
    Py_XDECREF(fixed->things);
    Py_XDECREF(fixed->names);
    Py_XDECREF(fixed->left);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot fixed_slots[] = {
    {Py_tp_doc, "One combination of static arguments, and the entry that is compiled for it."},
    {Py_tp_new, fixed_new},
    {Py_tp_traverse, fixed_traverse},
    {Py_tp_dealloc, fixed_dealloc},
    {0, NULL},
};

static PyType_Spec fixed_spec = {
    .name = "autograd.compiler.run._call.Fixed",
    .basicsize = sizeof(Fixed),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = fixed_slots,
};

/* ---- calls and the type Entry ---- */

static PyObject *entry_call(PyObject *self, PyObject *const *objects, size_t flagged, PyObject *names)
{
    Entry *entry = (Entry *)self;
    Py_ssize_t count = PyVectorcall_NARGS(flagged);
    PyObject *result = MISS;
    if (entry->recent[0] && Py_IS_TYPE(entry->recent[0], FixedType))
        result = call_chosen(entry, objects, count, names);
    else if (entry->recent[0] && !names) {
        int plain = mode_is_plain();
        result = plain < 0 ? NULL : plain ? call_recent(entry, objects, count) : MISS;
    }
    return result == MISS ? call_python(self, objects, count, names) : result;
}

static PyObject *entry_prefer(PyObject *self, PyObject *fast)
{
    Entry *entry = (Entry *)self;
    if (!Py_IS_TYPE(fast, FastPathType) && !Py_IS_TYPE(fast, FixedType))
        return PyErr_Format(PyExc_TypeError, "an entry prefers a FastPath or a Fixed, not %R", fast);
    if (entry->recent[0] && !Py_IS_TYPE(fast, Py_TYPE(entry->recent[0])))
        return PyErr_Format(PyExc_TypeError, "an entry prefers either FastPaths or Fixeds, not both");
    prefer(entry, fast);
    Py_RETURN_NONE;
}

static PyObject *entry_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)args, (void)keywords; /* they are for __init__ */
    Entry *entry = (Entry *)type->tp_alloc(type, 0);
    if (entry)
        entry->call = entry_call;
    return (PyObject *)entry;
}

static int entry_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; i < RECENT; i++)
        Py_VISIT(((Entry *)self)->recent[i]);
    return 0;
}

static int entry_clear(PyObject *self)
{
    for (int i = 0; i < RECENT; i++)
        Py_CLEAR(((Entry *)self)->recent[i]);
    return 0;
}

static void entry_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    entry_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef entry_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Entry, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef entry_methods[] = {
    {"prefer", entry_prefer, METH_O, "Try this fast path first."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot entry_slots[] = {
    {Py_tp_doc, "Tries the callers that served last, then `_call(args, keywords)`."},
    {Py_tp_new, entry_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, entry_traverse},
    {Py_tp_clear, entry_clear},
    {Py_tp_dealloc, entry_dealloc},
    {Py_tp_members, entry_members},
    {Py_tp_methods, entry_methods},
    {0, NULL},
};

static PyType_Spec entry_spec = {
    .name = "autograd.compiler.run._call.Entry",
    .basicsize = sizeof(Entry),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = entry_slots,
};

/* ---- the module ---- */

/* setup(numpy, mode): what is needed from NumPy and modes.py. */
static PyObject *call_setup(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *numpy, *mode;
    if (mode_variable)
        return PyErr_Format(PyExc_RuntimeError, "the module has been set up already");
    if (!PyArg_ParseTuple(args, "OO", &numpy, &mode) || !trust_arrays(numpy))
        return NULL;
    Py_XSETREF(mode_variable, Py_NewRef(mode));
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"setup", call_setup, METH_VARARGS, "Give what is needed of NumPy and of modes.py."},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    if (FastPathType) {
        PyErr_SetString(PyExc_ImportError, "the C build serves one copy of the package in one interpreter");
        return -1;
    }
    PyObject *entry = PyType_FromSpec(&entry_spec);
    WatchType = (PyTypeObject *)PyType_FromSpec(&watch_spec);
    FastPathType = (PyTypeObject *)PyType_FromSpec(&fast_path_spec);
    FixedType = (PyTypeObject *)PyType_FromSpec(&fixed_spec);
    EntryType = (PyTypeObject *)entry;
    call_name = PyUnicode_InternFromString("_call");
    data_name = PyUnicode_InternFromString("data");
    if (!entry || !FastPathType || !FixedType || !WatchType || !call_name || !data_name
        || PyModule_AddObjectRef(module, "Watch", (PyObject *)WatchType) < 0
        || PyModule_AddObjectRef(module, "FastPath", (PyObject *)FastPathType) < 0
        || PyModule_AddObjectRef(module, "Fixed", (PyObject *)FixedType) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Entry", entry);
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
    .m_name = "autograd.compiler.run._call",
    .m_doc = "The fast path from a Python call to machine code.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__call(void) { return PyModuleDef_Init(&module_definition); }
