/* The node: its fields, its operands, how it is made and how it dies. */

#define NODE 1  /* this operand is a Value, not a constant */
#define LOCAL 2 /* there is a local derivative: a message goes to this operand */
#define OTHER (-1)
#define FEW 2
#define SMALL 64 /* so many operands are looked at without allocating memory */

typedef union {
    struct Value *node;
    double constant;
} Operand;

typedef struct {
    Operand *operands;
    double *local;
    uint8_t *kinds;
} Slots;

/* 112 bytes on a 64-bit machine, up to two operands included; more operands are a block of their own. What a sweep
touches stands together, from `grad` on. */
typedef struct Value {
    PyObject_HEAD
    double data;
    PyObject *rule, *label, *source; /* NULL is None; label and source are exactly str, so dropping them frees no node */
    PyObject *weakrefs;
    double grad;
    union {
        uint64_t mark; /* of sweeps (see _sweep.h); in a dead node, the next dead one */
        double adjoint;
    };
    uint32_t count;
    uint8_t kinds[FEW];
    union {
        struct {
            Operand operands[FEW];
            double local[FEW];
        } few;
        Slots many;
    };
} Value;

static PyTypeObject *ValueType;
/* Given by value.py: see `setup`. */
static PyObject *mode_variable, *captures, *to_float, *caller, *raise_made, *to_text, *note_made;
static PyObject *rules[RULE_COUNT], *row_values[RULE_COUNT], *rule_codes;

static inline bool is_value(PyObject *object) { return PyObject_TypeCheck(object, ValueType); }

static inline Slots slots_of(Value *node)
{
    if (node->count > FEW)
        return node->many;
    return (Slots){node->few.operands, node->few.local, node->kinds};
}

/* While the compiler captures a program, in whatever thread, Python code says what a Value's number is. */
static inline bool capturing(void) { return PyList_GET_SIZE(captures) > 0; }

#include "_memory.h"

/* ---- dying ----
Without recursion: a node whose last reference goes is put on a list and has its turn later. An instance of a
subclass, which has a deallocator of its own that calls ours, waits in an array. */

static PyObject **waiting;
static Py_ssize_t waiting_count, waiting_room;
static bool settling;

static void postpone(PyObject *object)
{
    if (waiting_count == waiting_room) {
        Py_ssize_t room = waiting_room ? 2 * waiting_room : 64;
        PyObject **grown = PyMem_Realloc(waiting, (size_t)room * sizeof(PyObject *));
        if (!grown) {
            Py_DECREF(object); /* recursion is better than a leak */
            return;
        }
        waiting = grown;
        waiting_room = room;
    }
    waiting[waiting_count++] = object;
}

static void drop(Value *node, Value **dead)
{
    if (Py_REFCNT(node) > 1) {
        Py_DECREF(node);
    } else if (Py_IS_TYPE((PyObject *)node, ValueType)) {
        Py_SET_REFCNT((PyObject *)node, 0);
        node->mark = (uintptr_t)*dead;
        *dead = node;
    } else {
        postpone((PyObject *)node);
    }
}

static void unlink_operands(Value *node, Value **dead)
{
    Slots slots = slots_of(node);
    uint32_t count = node->count;
    node->count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (slots.kinds[i] & NODE)
            drop(slots.operands[i].node, dead);
    if (count > FEW)
        PyMem_Free(slots.operands);
}

static void bury(Value *node, Value **dead)
{
    PyTypeObject *type = Py_TYPE(node);
    if (node->weakrefs)
        PyObject_ClearWeakRefs((PyObject *)node);
    unlink_operands(node, dead);
    Py_XDECREF(node->rule);
    Py_XDECREF(node->label);
    Py_XDECREF(node->source);
    if (type == ValueType)
        give_back(node);
    else
        type->tp_free(node);
    Py_DECREF(type);
}

static void bury_all(Value *dead)
{
    while (dead) {
        Value *node = dead;
        dead = (Value *)(uintptr_t)node->mark;
        bury(node, &dead);
    }
    if (settling)
        return;
    settling = true;
    while (waiting_count)
        Py_DECREF(waiting[--waiting_count]);
    settling = false;
}

static void value_dealloc(PyObject *self)
{
    ((Value *)self)->mark = 0;
    bury_all((Value *)self);
}

/* ---- birth ---- */

static inline Value *new_node(double data, PyObject *rule)
{
    Value *node = take_memory();
    if (!node)
        return NULL;
    PyObject_Init((PyObject *)node, ValueType);
    node->data = data;
    node->grad = 0.0;
    Py_XINCREF(rule);
    node->rule = rule;
    node->label = node->source = node->weakrefs = NULL;
    node->count = 0;
    node->mark = 0;
    return node;
}

/* Room for the operands. They count only when `node->count` is set, after they have been filled in. */
static bool make_room(Value *node, Py_ssize_t count, Slots *slots)
{
    if (count <= FEW) {
        *slots = (Slots){node->few.operands, node->few.local, node->kinds};
        return true;
    }
    char *block = count <= UINT32_MAX ? PyMem_Malloc((size_t)count * (sizeof(Operand) + sizeof(double) + 1)) : NULL;
    if (!block) {
        PyErr_NoMemory();
        return false;
    }
    slots->operands = (Operand *)block;
    slots->local = (double *)(block + (size_t)count * sizeof(Operand));
    slots->kinds = (uint8_t *)(slots->local + count);
    node->many = *slots;
    return true;
}

static inline void set_operand(Slots slots, Py_ssize_t i, PyObject *operand, int kind, double number, bool local, double d)
{
    if (kind == NODE) {
        Py_INCREF(operand);
        slots.operands[i].node = (Value *)operand;
        slots.local[i] = d;
        slots.kinds[i] = local ? NODE | LOCAL : NODE;
    } else {
        slots.operands[i].constant = number;
        slots.kinds[i] = 0;
    }
}

/* ---- what the mode in force wants of a new node (`_node` in value.py says the same) ---- */

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

/* A node made while the compiler captures a program in another thread, of which that program must not become a part. */
static bool noted(Value *node)
{
    PyObject *done = PyObject_CallOneArg(note_made, (PyObject *)node);
    Py_XDECREF(done);
    return done != NULL;
}

static PyObject *get_operands(PyObject *self, void *unused);

/* Of a node made in a capture, what the program has instead. */
static PyObject *in_program(const Value *node, PyObject *trace)
{
    PyObject *operands = get_operands((PyObject *)node, NULL), *traced = NULL;
    if (operands)
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

/* The new node of an operation, as the mode in force wants it; every operation passes through here. */
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

/* ---- numbers ---- */

static PyObject *apply_rule_name;

/* Whether a subclass of float is a number and nothing more, as numpy.float64 is; the last one found is remembered. A
metaclass is not asked: no Python code may run here. */
static bool is_plain(PyTypeObject *type)
{
    static PyTypeObject *found;
    if (type != found && !_PyType_Lookup(type, apply_rule_name))
        Py_XSETREF(found, (PyTypeObject *)Py_NewRef((PyObject *)type));
    return type == found;
}

/* NODE or 0 (a constant) and the number, OTHER for what Python code has to look at. Runs no Python code, which might change
the list that the object is in; so a very large int, whose conversion may raise, is not looked at here. */
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

/* The value of a row that only Python has; after an error, which the caller looks for, nothing more is called. */
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
