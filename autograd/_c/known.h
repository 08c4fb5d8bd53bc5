/* What a trace knows: which instruction is where (`Builder.known`), the numbers of the run that C code has computed, and
the line of the last guard.

Most instructions have one or two operands and no data, or read an element of an array: an entry of 4 bytes tells where one
is. Others are in a dict. Those
that C code writes are noted in brief, as are guards: the objects are made when Python code asks for any of them, see
settle.h. */

/* The operations that are no rows of the table; their codes come after those of the rows. */
enum { LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, UNEQUAL, AND, OR, NOT, SELECT, STOP, CONSTANT, INPUT, READ, OTHERS };
static const char *const OTHER_NAMES[OTHERS] = {
    "<", "<=", ">", ">=", "==", "!=", "and", "or", "not", "select", "stop", "constant", "input", "read",
};
static PyObject *other_names[OTHERS];

/* What is at a place: an instruction with one or two operands and no data; a constant, of which a and b have the bits; or
the `read` of an element, with its array and its number there. */
typedef struct {
    int32_t op; /* one more than its code; 0: nothing is noted here */
    int32_t a, b; /* b: -1 if there is one operand */
    bool key; /* Python code wrote the instruction: a and b are its key, in which operands may have another order */
} Brief;

typedef struct {
    int32_t *entries;      /* one more than the place of an instruction; 0: no entry */
    Py_ssize_t used, room; /* the room is a power of two, or 0 */
} Table;

/* A guard; the `lines` of the trace keep the text. */
typedef struct {
    int32_t place;
    bool outcome;
    PyObject *line;
} Noted;

typedef struct {
    PyObject_HEAD
    Table operations, constants;
    PyObject *others;
    double *numbers;
    uint8_t *computed; /* which of the numbers are known, and which of these guards compare: KNOWN_NUMBER, NOTED_GUARD */
    Py_ssize_t size, swept; /* the numbers before `swept` have been computed as far as that is possible: see `sweep_to` */
    Brief *briefs; /* of the instructions up to some place */
    Py_ssize_t briefs_room, first, pending; /* how many have no object, and where the first of them is */
    Py_ssize_t placed;                      /* how many of the trace's `constants` have entries */
    Noted *noted; /* guards that have no object */
    Py_ssize_t noted_count, noted_room;
    PyCodeObject *code; /* of the last guard: borrowed from the `lines` of the trace, which forget nothing */
    PyObject *line;
    int at;
    PyCodeObject *plain; /* the last that is among the `plain` of the trace, which keeps it */
    PyObject *site;      /* the last that is in the `flow` of the trace */
} Known;

enum { KNOWN_NUMBER = 1, NOTED_GUARD = 2 };
enum { NEAR = 256, PROBES = 8 }; /* see `entry_of` */

static PyTypeObject *KnownType;

static inline bool reads_element(const Brief *brief) { return brief->op - 1 == RULE_COUNT + READ; }

static inline size_t hash_of(int32_t op, int32_t a, int32_t b)
{
    uint64_t mixed = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) ^ (uint64_t)op * 0x9E3779B97F4A7C15u;
    mixed *= 0xD6E8FEB86659FD93u;
    mixed ^= mixed >> 32;
    mixed *= 0xD6E8FEB86659FD93u;
    return (size_t)(mixed ^ mixed >> 32);
}

static inline bool is_commutative(int32_t op) { return op == RULE_add || op == RULE_mul; }

static inline bool is_at(const Known *known, int32_t entry, int32_t op, int32_t low, int32_t high)
{
    const Brief *brief = &known->briefs[entry - 1];
    return brief->op == op + 1
           && ((brief->a == low && brief->b == high) || (is_commutative(op) && brief->a == high && brief->b == low));
}

static inline Table *table_of(Known *known, int32_t op)
{
    return op == RULE_COUNT + CONSTANT ? &known->constants : &known->operations;
}

/* The entry of an instruction, or the empty one where it would be. `number_values` puts the operands of a commutative one in
order. At least half of the entries are empty, so that few are looked at.

Most operations have an operand that was made a short time ago. They are first looked for near where that leads, because the
processor has that part of the table in its cache. */
static int32_t *entry_of(const Known *known, const Table *table, int32_t op, int32_t a, int32_t b)
{
    bool swap = is_commutative(op) && a > b;
    int32_t low = swap ? b : a, high = swap ? a : b;
    size_t mask = (size_t)table->room - 1, hash = hash_of(op, low, high);
    if (op != RULE_COUNT + CONSTANT) {
        size_t near = 2 * (size_t)(a > b ? a : b) + (hash & (NEAR - 1));
        for (size_t i = 0; i < PROBES; i++) {
            int32_t *entry = &table->entries[(near + i) & mask];
            if (!*entry || is_at(known, *entry, op, low, high))
                return entry;
        }
    }
    size_t at = hash & mask;
    while (table->entries[at] && !is_at(known, table->entries[at], op, low, high))
        at = (at + 1) & mask;
    return &table->entries[at];
}

static bool make_room_for_entry(const Known *known, Table *table)
{
    if (2 * (table->used + 1) <= table->room)
        return true;
    Table grown = {.used = table->used, .room = table->room ? 4 * table->room : 1024};
    if (!(grown.entries = PyMem_Calloc((size_t)grown.room, sizeof *grown.entries))) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < table->room; i++) {
        if (table->entries[i]) {
            const Brief *brief = &known->briefs[table->entries[i] - 1];
            *entry_of(known, &grown, brief->op - 1, brief->a, brief->b) = table->entries[i];
        }
    }
    PyMem_Free(table->entries);
    *table = grown;
    return true;
}

static Brief *room_for_brief(Known *known, Py_ssize_t place)
{
    if (place >= known->briefs_room) {
        Py_ssize_t room = place + place / 2 + 256;
        Brief *briefs = PyMem_Realloc(known->briefs, (size_t)room * sizeof *briefs);
        if (!briefs) {
            PyErr_NoMemory();
            return NULL;
        }
        memset(briefs + known->briefs_room, 0, (size_t)(room - known->briefs_room) * sizeof *briefs);
        known->briefs = briefs;
        known->briefs_room = room;
    }
    return &known->briefs[place];
}

/* The place of an instruction that Python code writes, which is the given one if there was none; -1 after an error. */
static Py_ssize_t place_among(Known *known, int32_t op, int32_t a, int32_t b, Py_ssize_t place)
{
    Table *table = table_of(known, op);
    Brief *brief = make_room_for_entry(known, table) ? room_for_brief(known, place) : NULL;
    if (!brief)
        return -1;
    int32_t *entry = entry_of(known, table, op, a, b);
    if (*entry)
        return *entry - 1;
    *brief = (Brief){op + 1, a, b, .key = true};
    *entry = (int32_t)place + 1;
    table->used++;
    return place;
}

static bool is_small(Py_ssize_t place) { return place >= 0 && place < INT32_MAX; }

/* The number of an int, if it is small enough for an entry; else -1. */
static int32_t small_number(PyObject *object)
{
    int overflow = 0;
    Py_ssize_t number = PyLong_CheckExact(object) ? (Py_ssize_t)PyLong_AsLongLongAndOverflow(object, &overflow) : -1;
    return overflow || !is_small(number) ? -1 : (int32_t)number;
}

static bool is_empty_tuple(PyObject *object) { return PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == 0; }

/* The number of the element to which a window leads that is one of known place; -1 for any other data. */
static int32_t number_of_element(PyObject *window)
{
    if (!PyTuple_Check(window) || PyTuple_GET_SIZE(window) != 4)
        return -1;
    for (Py_ssize_t i = 0; i < 4; i++)
        if (i != 1 && !is_empty_tuple(PyTuple_GET_ITEM(window, i)))
            return -1;
    return small_number(PyTuple_GET_ITEM(window, 1));
}

/* Whether an instruction has an entry: then its places are read. */
static bool has_entry(int32_t op, PyObject *places, PyObject *data, int32_t *a, int32_t *b)
{
    Py_ssize_t count = PyTuple_CheckExact(places) ? PyTuple_GET_SIZE(places) : 0;
    bool element = op == RULE_COUNT + READ;
    if (count < 1 || count > (element ? 1 : 2) || (!element && data != Py_None))
        return false;
    *a = small_number(PyTuple_GET_ITEM(places, 0));
    *b = element ? number_of_element(data) : count == 2 ? small_number(PyTuple_GET_ITEM(places, 1)) : -1;
    return *a >= 0 && (*b >= 0 || (count == 1 && !element));
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
    int32_t code = op ? (int32_t)PyLong_AsLong(op) : -1;
    if (!op || !is_small(at) || !has_entry(code, PyTuple_GET_ITEM(key, 1), PyTuple_GET_ITEM(key, 2), &a, &b))
        return Py_XNewRef(PyDict_SetDefault(known->others, key, place));
    Py_ssize_t found = place_among(known, code, a, b, at);
    return found < 0 ? NULL : found == at ? Py_NewRef(place) : PyLong_FromSsize_t(found);
}

/* ---- instructions in brief ---- */

static inline const Brief *brief_at(const Known *known, Py_ssize_t place)
{
    if (place < 0 || place >= known->briefs_room || known->briefs[place].key || !known->briefs[place].op)
        return NULL;
    return &known->briefs[place];
}

/* The place of an instruction: a known one, or a new one at the end of the code; -1 after an error. */
static Py_ssize_t append_brief(Known *known, PyObject *code, int op, int32_t a, int32_t b)
{
    Py_ssize_t end = PyList_GET_SIZE(code);
    if (!is_small(end)) {
        PyErr_SetString(PyExc_OverflowError, "the program is too long");
        return -1;
    }
    Table *table = table_of(known, op);
    Brief *brief = make_room_for_entry(known, table) ? room_for_brief(known, end) : NULL;
    if (!brief)
        return -1;
    int32_t *entry = entry_of(known, table, op, a, b);
    if (*entry)
        return *entry - 1;
    if (PyList_Append(code, Py_None) < 0) /* nobody sees this None: see settle.h */
        return -1;
    *brief = (Brief){op + 1, a, b, .key = false};
    *entry = (int32_t)end + 1;
    table->used++;
    if (!known->pending++)
        known->first = end;
    return end;
}

static inline void halves_of(double x, int32_t *halves) { memcpy(halves, &x, sizeof x); }

static inline double constant_of(const Brief *brief)
{
    int32_t halves[2] = {brief->a, brief->b};
    double x;
    memcpy(&x, halves, sizeof x);
    return x;
}

/* ---- the numbers of the run ---- */

static bool number_computed(const Known *known, Py_ssize_t place, double *x)
{
    if (place < 0 || place >= known->size || !(known->computed[place] & KNOWN_NUMBER))
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
        uint8_t *computed = numbers ? PyMem_Realloc(known->computed, (size_t)size) : NULL;
        if (!computed) {
            PyErr_NoMemory();
            return false;
        }
        memset(computed + known->size, 0, (size_t)(size - known->size));
        known->computed = computed;
        known->size = size;
    }
    known->numbers[place] = x;
    known->computed[place] |= KNOWN_NUMBER;
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
    Py_VISIT(((Known *)self)->site);
    return 0;
}

static int known_clear(PyObject *self)
{
    PyDict_Clear(((Known *)self)->others);
    Py_CLEAR(((Known *)self)->site);
    return 0;
}

static void known_dealloc(PyObject *self)
{
    Known *known = (Known *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyMem_Free(known->operations.entries);
    PyMem_Free(known->constants.entries);
    PyMem_Free(known->numbers);
    PyMem_Free(known->computed);
    PyMem_Free(known->briefs);
    PyMem_Free(known->noted);
    Py_XDECREF(known->others);
    Py_XDECREF(known->site);
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
