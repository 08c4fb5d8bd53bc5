/* Operators: a row of the table on one, two or three operands. */

/* The node of a row with up to three operands. It is inlined, so a row that is known when compiling costs no switch. */
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
    if (kinds[0] == OTHER || kinds[1] == OTHER) {
        PyObject *traced = capture_row(rule, operands, 2);
        return traced == NOT_MINE ? python_operator(rule, a, b) : traced;
    }
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
    return PyObject_CallFunctionObjArgs(forwards[RULE_pow], a, b, modulus, NULL); /* raises: it takes two operands */
}

static PyObject *value_neg_node(PyObject *self)
{
    const int kinds[] = {NODE};
    if (!Py_IS_TYPE(self, ValueType)) {
        PyObject *traced = capture_row(RULE_neg, &self, 1);
        return traced == NOT_MINE ? PyObject_CallOneArg(forwards[RULE_neg], self) : traced;
    }
    return make_node(RULE_neg, 1, &self, kinds, &((Value *)self)->data);
}
