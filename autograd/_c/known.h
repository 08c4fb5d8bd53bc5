/* What a trace knows: which instruction is where (`Builder.known`), the numbers of the run that C code has computed, and
the line of the last guard.

Most instructions have one or two operands and no data: an entry of 16 bytes tells where one is. Others are in a dict. */

typedef struct {
    int32_t place; /* one more than the place of the instruction; 0: no entry */
    int32_t op, a, b; /* b: -1 if there is one operand */
} Entry;

typedef struct {
    PyObject_HEAD
    Entry *entries;
    Py_ssize_t used, room; /* the room is a power of two, or 0 */
    PyObject *others;
    double *numbers;
    bool *computed; /* which of the numbers are known */
    Py_ssize_t size;
    PyCodeObject *code; /* of the last guard: borrowed from the `lines` of the trace, which forget nothing */
    PyObject *line;
    int at;
} Known;

static PyTypeObject *KnownType;

static inline size_t hash_of(int32_t op, int32_t a, int32_t b)
{
    uint64_t mixed = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) ^ (uint64_t)op * 0x9E3779B97F4A7C15u;
    mixed *= 0xD6E8FEB86659FD93u;
    mixed ^= mixed >> 32;
    mixed *= 0xD6E8FEB86659FD93u;
    return (size_t)(mixed ^ mixed >> 32);
}

/* The entry of an instruction, or the empty one where it would be. There is at least one empty entry. */
static Entry *entry_of(const Known *known, int32_t op, int32_t a, int32_t b)
{
    size_t mask = (size_t)known->room - 1, at = hash_of(op, a, b) & mask;
    while (known->entries[at].place
           && (known->entries[at].op != op || known->entries[at].a != a || known->entries[at].b != b))
        at = (at + 1) & mask;
    return &known->entries[at];
}

static bool make_room_for_entry(Known *known)
{
    if (3 * (known->used + 1) < 2 * known->room)
        return true;
    Known grown = {.room = known->room ? 2 * known->room : 256};
    if (!(grown.entries = PyMem_Calloc((size_t)grown.room, sizeof(Entry)))) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < known->room; i++) {
        const Entry *entry = &known->entries[i];
        if (entry->place)
            *entry_of(&grown, entry->op, entry->a, entry->b) = *entry;
    }
    PyMem_Free(known->entries);
    known->entries = grown.entries;
    known->room = grown.room;
    return true;
}

/* The place of an instruction, which is the given one if there was none; -1 after an error. */
static Py_ssize_t place_among(Known *known, int32_t op, int32_t a, int32_t b, Py_ssize_t place)
{
    if (!make_room_for_entry(known))
        return -1;
    Entry *entry = entry_of(known, op, a, b);
    if (!entry->place) {
        *entry = (Entry){(int32_t)place + 1, op, a, b};
        known->used++;
    }
    return entry->place - 1;
}

static bool is_small(Py_ssize_t place) { return place >= 0 && place < INT32_MAX; }

/* Whether an instruction has an entry: then its places are read. */
static bool has_entry(PyObject *places, PyObject *data, int32_t *a, int32_t *b)
{
    Py_ssize_t count = PyTuple_CheckExact(places) ? PyTuple_GET_SIZE(places) : 0, operands[2] = {-1, -1};
    if (data != Py_None || count < 1 || count > 2)
        return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *place = PyTuple_GET_ITEM(places, i);
        int overflow = 0;
        operands[i] = PyLong_CheckExact(place) ? (Py_ssize_t)PyLong_AsLongLongAndOverflow(place, &overflow) : -1;
        if (overflow || !is_small(operands[i]))
            return false;
    }
    *a = (int32_t)operands[0];
    *b = (int32_t)operands[1];
    return true;
}

static PyObject *codes_by_name; /* of all operations */

/* Known.setdefault(key, place): where the instruction is whose operation, operands and data are the key. */
static PyObject *known_setdefault(PyObject *self, PyObject *args)
{
    Known *known = (Known *)self;
    PyObject *key, *place;
    int32_t a, b;
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &key, &PyLong_Type, &place))
        return NULL;
    PyObject *op = PyTuple_GET_SIZE(key) == 3 && codes_by_name && PyUnicode_CheckExact(PyTuple_GET_ITEM(key, 0))
                       ? PyDict_GetItemWithError(codes_by_name, PyTuple_GET_ITEM(key, 0))
                       : NULL;
    Py_ssize_t at = PyLong_AsSsize_t(place);
    if (PyErr_Occurred())
        return NULL;
    if (!op || !is_small(at) || !has_entry(PyTuple_GET_ITEM(key, 1), PyTuple_GET_ITEM(key, 2), &a, &b))
        return Py_XNewRef(PyDict_SetDefault(known->others, key, place));
    Py_ssize_t found = place_among(known, (int32_t)PyLong_AsLong(op), a, b, at);
    return found < 0 ? NULL : found == at ? Py_NewRef(place) : PyLong_FromSsize_t(found);
}

/* ---- the numbers of the run ---- */

static bool number_computed(const Known *known, Py_ssize_t place, double *x)
{
    if (place < 0 || place >= known->size || !known->computed[place])
        return false;
    *x = known->numbers[place];
    return true;
}

static bool keep_number(Known *known, Py_ssize_t place, double x)
{
    if (place >= known->size) {
        Py_ssize_t size = place + place / 2 + 256;
        double *numbers = PyMem_Realloc(known->numbers, (size_t)size * sizeof *numbers);
        known->numbers = numbers ? numbers : known->numbers;
        bool *computed = numbers ? PyMem_Realloc(known->computed, (size_t)size * sizeof *computed) : NULL;
        if (!computed) {
            PyErr_NoMemory();
            return false;
        }
        memset(computed + known->size, false, (size_t)(size - known->size) * sizeof *computed);
        known->computed = computed;
        known->size = size;
    }
    known->numbers[place] = x;
    known->computed[place] = true;
    return true;
}

/* ---- the type ---- */

static PyObject *known_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    (void)args, (void)names;
    Known *known = (Known *)type->tp_alloc(type, 0);
    if (known && !(known->others = PyDict_New()))
        Py_CLEAR(known);
    return (PyObject *)known;
}

static int known_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Known *)self)->others);
    return 0;
}

static int known_clear(PyObject *self)
{
    PyDict_Clear(((Known *)self)->others);
    return 0;
}

static void known_dealloc(PyObject *self)
{
    Known *known = (Known *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyMem_Free(known->entries);
    PyMem_Free(known->numbers);
    PyMem_Free(known->computed);
    Py_XDECREF(known->others);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef known_methods[] = {
    {"setdefault", known_setdefault, METH_VARARGS, "Where an instruction is; if it is nowhere, it is at this place."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot known_slots[] = {
    {Py_tp_new, known_new},         {Py_tp_dealloc, known_dealloc}, {Py_tp_traverse, known_traverse},
    {Py_tp_clear, known_clear},     {Py_tp_methods, known_methods}, {0, NULL},
};

static PyType_Spec known_spec = {
    "autograd._value.Known", sizeof(Known), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, known_slots,
};
