/* The node: its fields and operands, and how it is made and freed. */

#define NODE 1  /* this operand is a Value, not a constant */
#define LOCAL 2 /* there is a local derivative: a message goes to this operand */
#define OTHER (-1)
#define FEW 2
#define SMALL 64 /* operands that are read without allocating memory */

typedef union {
    struct Value *node;
    double constant;
} Operand;

typedef struct {
    Operand *operands;
    double *local;
    uint8_t *kinds;
} Slots;

typedef struct {
    PyObject *builder, *place;
    Py_ssize_t array, offset;
} Tracer; /* see tracer.h */

/* A node takes 112 bytes on a 64-bit machine and holds up to two operands; more operands have a block of their own. The
fields that a sweep uses lie together, from `grad` on. */
typedef struct Value {
    PyObject_HEAD
    double data;
    PyObject *rule, *label, *source; /* NULL is None; label and source are exactly str: dropping them frees no node */
    PyObject *weakrefs;
    double grad;
    union {
        uint64_t mark; /* used by sweeps (see order.h); in a dead node, the address of the next dead one */
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
        Tracer tracer; /* of a tracer, which has no operands */
    };
} Value;

static PyTypeObject *ValueType, *TracedType;
/* value.py gives these to `setup`. */
static PyObject *mode_variable, *captures, *to_float, *caller, *raise_made, *to_text, *note_made;
static PyObject *rules[RULE_COUNT], *row_values[RULE_COUNT], *rule_codes;

static inline bool is_value(PyObject *object) { return PyObject_TypeCheck(object, ValueType); }
static inline bool is_tracer(PyObject *object) { return Py_IS_TYPE(object, TracedType); }

static inline Slots slots_of(Value *node)
{
    if (node->count > FEW)
        return node->many;
    return (Slots){node->few.operands, node->few.local, node->kinds};
}

#include "memory.h"

/* ---- freeing ----
There is no recursion: a node that loses its last reference goes on a list and is freed later. An instance of a subclass
waits in an array instead, because its class has its own deallocator, which calls ours. */

static PyObject **waiting;
static Py_ssize_t waiting_count, waiting_room;
static bool settling;

static void postpone(PyObject *object)
{
    if (waiting_count == waiting_room) {
        Py_ssize_t room = waiting_room ? 2 * waiting_room : 64;
        PyObject **grown = PyMem_Realloc(waiting, (size_t)room * sizeof(PyObject *));
        if (!grown) {
            Py_DECREF(object); /* this may recurse, which is better than a leak */
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

/* ---- making ---- */

static void value_free(void *node) { give_back(node); } /* not for other classes, which have their own tp_free */

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

/* Make room for the operands. The caller fills them in and then sets `node->count`; until then the node has none. */
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
