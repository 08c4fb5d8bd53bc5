/* Rows with any number of operands, which may lie in lists, tuples, arrays or iterators. */

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

/* Open a contiguous array of floats or of objects. An array with `filled` is masked: Python code refuses it. */
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

/* Open a list, tuple, array or iterator of operands: 1 if that is done, -1 after an error, 0 if Python code must do it. */
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

/* Keep the operands: Python code runs meanwhile, and may change what holds them. False after an error. */
static bool keep_row(Row *row)
{
    if (!row->items || row->kept)
        return true;
    if (!(row->kept = PyList_New(row->count)))
        return false;
    for (Py_ssize_t i = 0; i < row->count; i++)
        PyList_SET_ITEM(row->kept, i, Py_NewRef(row->items[i] ? row->items[i] : Py_None)); /* as NumPy shows it */
    row->items = ((PyListObject *)row->kept)->ob_item;
    return true;
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

/* Scratch space for n operands: their numbers, derivatives, kinds, and whether they are selected. */
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
    if (ROWS[rule].may_raise && PyErr_Occurred())
        return NULL;
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
    if (nodes == OTHER && row_count == 1 && rows->items) {
        result = capture_row(rule, rows->items, n);
    } else if (nodes == 0) {
        double y = value_of_many(rule, scratch.x, n);
        result = ROWS[rule].may_raise && PyErr_Occurred() ? NULL : PyFloat_FromDouble(y);
    } else if (nodes != OTHER) {
        result = make_wide_node(rule, rows, row_count, &scratch, n);
    }
    close_scratch(&scratch);
    return result;
}
