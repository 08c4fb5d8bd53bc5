/* The class: what Python compares, reads and assigns. */

static PyObject *python_data, *python_grad, *python_bool, *python_comparisons[6];

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

static PyObject *value_sizeof(PyObject *self, PyObject *unused)
{
    Value *node = (Value *)self;
    size_t block = node->count > FEW ? node->count * (sizeof(Operand) + sizeof(double) + 1) : 0;
    return PyLong_FromSize_t((size_t)Py_TYPE(self)->tp_basicsize + block);
}

/* ---- the class ---- */

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
