/* Tracers: the class of capture/tracer.py, whose nodes have no operands. Where a node has these, a tracer has its program
and where it is there.

A tracer is an element of an array, or a value of the program, whose number is an int that others share, or is no Python int
yet. The collector does not know tracers, so a program must not refer to one for longer than the function runs. */

#define NO_ARRAY (-1)
#define A_VALUE (-2) /* in place of an array: the offset is the number of a value */

static inline Tracer *tracer_of(PyObject *object) { return &((Value *)object)->tracer; }
static inline PyObject *builder_of(PyObject *traced) { return tracer_of(traced)->builder; }
static inline bool is_element(PyObject *traced) { return tracer_of(traced)->array >= 0; }

/* Takes no references to the ints; `place` may be NULL. */
static inline PyObject *new_tracer(PyObject *builder, PyObject *place, Py_ssize_t array, Py_ssize_t offset)
{
    Value *node = take_memory();
    if (!node)
        return NULL;
    PyObject_Init((PyObject *)node, TracedType);
    node->data = NAN;
    node->grad = 0.0;
    node->rule = node->label = node->source = node->weakrefs = NULL;
    node->count = 0;
    node->mark = 0;
    node->tracer = (Tracer){Py_XNewRef(builder), Py_XNewRef(place), array, offset};
    return (PyObject *)node;
}

static PyObject *traced_alloc(PyTypeObject *type, Py_ssize_t count) { return new_tracer(NULL, NULL, NO_ARRAY, 0); }

static void traced_dealloc(PyObject *self)
{
    Value *node = (Value *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (node->weakrefs)
        PyObject_ClearWeakRefs(self);
    Py_XDECREF(node->rule);
    Py_XDECREF(node->label);
    Py_XDECREF(node->source);
    Py_XDECREF(node->tracer.place);
    Py_XDECREF(node->tracer.builder);
    type->tp_free(node);
    Py_DECREF(type);
}

/* The number of the value in the program; below 0 while nothing has asked for it. */
static Py_ssize_t index_of(PyObject *traced)
{
    const Tracer *tracer = tracer_of(traced);
    return tracer->place ? PyLong_AsSsize_t(tracer->place) : tracer->array == A_VALUE ? tracer->offset : -1;
}

/* The same as an int: a borrowed reference, or NULL without an error if nothing has asked for it. */
static PyObject *int_of(PyObject *traced)
{
    Tracer *tracer = tracer_of(traced);
    if (!tracer->place && tracer->array == A_VALUE)
        tracer->place = PyLong_FromSsize_t(tracer->offset);
    return tracer->place;
}

static void keep_place(PyObject *traced, PyObject *place) { Py_XSETREF(tracer_of(traced)->place, Py_NewRef(place)); }

static PyObject *get_index(PyObject *self, void *unused) { return PyLong_FromSsize_t(index_of(self)); }

static int set_index(PyObject *self, PyObject *place, void *unused)
{
    Py_ssize_t index = place ? PyNumber_AsSsize_t(place, PyExc_OverflowError) : -1;
    if (index == -1 && PyErr_Occurred())
        return -1;
    Py_XSETREF(tracer_of(self)->place, index < 0 ? NULL : PyLong_FromSsize_t(index));
    return index >= 0 && !tracer_of(self)->place ? -1 : 0;
}

static PyGetSetDef traced_getset[] = {
    {"_index", get_index, set_index, "The number of its value in the program; below 0 while nothing has asked for it.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef traced_members[] = {
    {"builder", T_OBJECT_EX, offsetof(Value, tracer.builder), 0, "The program."},
    {"_array", T_PYSSIZET, offsetof(Value, tracer.array), 0, "The array of which it is an element, or below 0."},
    {"_offset", T_PYSSIZET, offsetof(Value, tracer.offset), 0, "Its place in the array."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot traced_slots[] = {
    {Py_tp_alloc, traced_alloc},
    {Py_tp_free, value_free},
    {Py_tp_dealloc, traced_dealloc},
    {Py_tp_getset, traced_getset},
    {Py_tp_members, traced_members},
    {0, NULL},
};

static PyType_Spec traced_spec = {
    .name = "autograd.compiler.capture.tracer.Traced",
    .basicsize = sizeof(Value),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = traced_slots,
};
