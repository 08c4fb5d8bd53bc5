/* Rolling: `find_loops` of ir/roll/statements.py with `roll` of ir/roll/recognition.py, in one pass over the trace.

The numbers of all statements on the stack lie one after another. A loop's vector is that of its first step, so the last
groups become a loop, or its next step, by shortening the stack. */

#define LEAF(number) (-1 - (int64_t)(number))
#define BODY_SHIFT 32
#define COUNT_MASK (((int64_t)1 << BODY_SHIFT) - 1)

typedef struct {
    int64_t *items;
    Py_ssize_t count, room;
} Numbers;

typedef struct {
    Py_ssize_t shapes, steps, length, width; /* where they begin in `Rolling.parts`, and how many there are */
} RolledBody;

typedef struct {
    Numbers shapes, starts, numbers; /* the stack: of each statement its shape and where its numbers begin */
    Numbers parts;                   /* of all bodies: the shapes of a step, then how its numbers advance */
    RolledBody *bodies;
    Py_ssize_t body_count, body_room;
    PyObject *known; /* the bytes of a body → its number */
} Rolling;

static bool add_number(Numbers *list, int64_t number)
{
    if (list->count == list->room) {
        Py_ssize_t room = list->room ? 2 * list->room : 1024;
        int64_t *items = PyMem_Realloc(list->items, room * sizeof *items);
        if (!items) {
            PyErr_NoMemory();
            return false;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = number;
    return true;
}

/* ---- the stack ---- */

static inline int64_t start_of(const Rolling *r, Py_ssize_t statement)
{
    return statement < r->starts.count ? r->starts.items[statement] : r->numbers.count;
}

/* Whether the last k statements are the next step of the loop before them. */
static bool continues(const Rolling *r, Py_ssize_t k)
{
    Py_ssize_t at = r->shapes.count - k;
    int64_t shape = r->shapes.items[at - 1], count = shape & COUNT_MASK;
    const RolledBody *body = &r->bodies[shape >> BODY_SHIFT];
    const int64_t *shapes = r->parts.items + body->shapes, *steps = r->parts.items + body->steps;
    const int64_t *base = r->numbers.items + start_of(r, at - 1), *now = r->numbers.items + start_of(r, at);
    if (body->length != k || memcmp(shapes, r->shapes.items + at, k * sizeof *shapes))
        return false;
    for (Py_ssize_t i = 0; i < body->width; i++)
        if (now[i] != base[i] + count * steps[i])
            return false;
    return true;
}

/* Whether the last three groups of k statements are alike and their numbers advance by equal differences. */
static bool advances(const Rolling *r, Py_ssize_t k)
{
    Py_ssize_t end = r->shapes.count;
    const int64_t *shapes = r->shapes.items + end - 3 * k;
    if (memcmp(shapes, shapes + k, k * sizeof *shapes) || memcmp(shapes, shapes + 2 * k, k * sizeof *shapes))
        return false;
    const int64_t *x = r->numbers.items + start_of(r, end - 3 * k), *y = r->numbers.items + start_of(r, end - 2 * k);
    const int64_t *z = r->numbers.items + start_of(r, end - k);
    for (Py_ssize_t i = 0, width = y - x; i < width; i++)
        if (y[i] - x[i] != z[i] - y[i])
            return false;
    return true;
}

static void shorten(Rolling *r, Py_ssize_t count)
{
    r->numbers.count = start_of(r, count);
    r->shapes.count = r->starts.count = count;
}

/* The number of a body, the last on the stack; -1 after an error. */
static Py_ssize_t body_number(Rolling *r, Py_ssize_t k)
{
    Py_ssize_t end = r->shapes.count, mark = r->parts.count;
    int64_t y = start_of(r, end - 2 * k), z = start_of(r, end - k), width = z - y;
    for (Py_ssize_t i = 0; i < k; i++)
        if (!add_number(&r->parts, r->shapes.items[end - k + i]))
            return -1;
    for (Py_ssize_t i = 0; i < width; i++)
        if (!add_number(&r->parts, r->numbers.items[z + i] - r->numbers.items[y + i]))
            return -1;
    if (!add_number(&r->parts, k)) /* the key tells where the shapes end */
        return -1;
    PyObject *key = PyBytes_FromStringAndSize((char *)(r->parts.items + mark), (k + width + 1) * sizeof(int64_t));
    PyObject *number = key ? PyLong_FromSsize_t(r->body_count) : NULL;
    PyObject *found = number ? PyDict_SetDefault(r->known, key, number) : NULL;
    Py_ssize_t body = found ? PyLong_AsSsize_t(found) : -1;
    Py_XDECREF(key);
    Py_XDECREF(number);
    if (body != r->body_count) {
        r->parts.count = mark;
        return body;
    }
    if (r->body_count == r->body_room) {
        Py_ssize_t room = r->body_room ? 2 * r->body_room : 64;
        RolledBody *bodies = PyMem_Realloc(r->bodies, room * sizeof *bodies);
        if (!bodies) {
            PyErr_NoMemory();
            return -1;
        }
        r->bodies = bodies;
        r->body_room = room;
    }
    r->bodies[r->body_count++] = (RolledBody){mark, mark + k, k, width};
    return body;
}

/* Make a loop of the last statements, or extend one: 1, or 0 if there is none; -1 after an error. */
static int reduce_stack(Rolling *r, Py_ssize_t longest)
{
    Py_ssize_t top = r->shapes.count - 1;
    int64_t last = r->shapes.items[top];
    for (Py_ssize_t k = 1; k <= longest && k <= top; k++) {
        int64_t before = r->shapes.items[top - k];
        if (before >= 0 && continues(r, k)) {
            r->shapes.items[top - k]++;
            shorten(r, top - k + 1);
            return 1;
        }
        if (before == last && top + 1 >= 3 * k && r->shapes.items[top - 2 * k] == last && advances(r, k)) {
            Py_ssize_t body = body_number(r, k);
            if (body < 0)
                return -1;
            Py_ssize_t first = top + 1 - 3 * k;
            r->numbers.count = start_of(r, first + k);
            r->shapes.count = r->starts.count = first + 1;
            r->shapes.items[first] = (int64_t)body << BODY_SHIFT | 3;
            return 1;
        }
    }
    return 0;
}

static bool push(Rolling *r, int64_t shape, Py_ssize_t longest, Py_ssize_t start)
{
    int found = add_number(&r->shapes, shape) && add_number(&r->starts, start) ? 1 : -1;
    while (found > 0)
        found = reduce_stack(r, longest);
    return found == 0;
}

/* Read what is left once more, in search of bodies that are as long as `pairs` of statements allow. */
static bool roll_again(Rolling *r, Py_ssize_t longest, Py_ssize_t pairs)
{
    Py_ssize_t count = r->shapes.count, again = pairs / (count > 0 ? count : 1);
    if (again <= longest)
        return true;
    Numbers shapes = r->shapes, starts = r->starts, numbers = r->numbers;
    r->shapes = r->starts = r->numbers = (Numbers){0};
    bool fine = true;
    for (Py_ssize_t i = 0; fine && i < count; i++) {
        Py_ssize_t start = r->numbers.count;
        int64_t end = i + 1 < count ? starts.items[i + 1] : numbers.count;
        for (int64_t at = starts.items[i]; fine && at < end; at++)
            fine = add_number(&r->numbers, numbers.items[at]);
        fine = fine && push(r, shapes.items[i], again, start);
    }
    PyMem_Free(shapes.items);
    PyMem_Free(starts.items);
    PyMem_Free(numbers.items);
    return fine;
}

/* ---- what a statement is ---- */

enum { UNKNOWN, CONSTANTS, ELEMENTS, INPUTS, COPIES, VALUES };

/* What a statement that was read had; the objects are borrowed from the code. */
typedef struct {
    PyObject *op, *data, *line;
    Py_ssize_t key, count; /* where its key is in `Reader.keys`, and how many operands it has; 0 if it is read in full */
    bool exact;
    int64_t after; /* the kind that came after it the last time */
} KindRead;

typedef struct {
    PyObject *code, *lines, *rollable, *exact, *many, *side_by_side; /* borrowed */
    PyObject *positions, *kinds, *elements, *statements;
    PyObject *ids, *known; /* operation, data or line → a number; the bytes of a kind → its number */
    KindRead *read;        /* of each kind */
    Py_ssize_t read_room;
    Numbers keys;
    int64_t last;          /* the kind of the statement before; -1 at first */
    PyObject *family, *family_of; /* of the element that was noted last: its dict, borrowed, and its array */
    PyObject *position_where[6];
    Py_ssize_t end;
    unsigned char *inside; /* of each value: 0 not needed, 1 needed, 2 rolled */
    int64_t *place;        /* the position of what is rolled; of others, the number outside */
    int64_t *ordinal;      /* of what is rolled: its kind, shifted, and how many of that kind came before; or NULL */
    Numbers counts;        /* of each kind, so far */
    unsigned char *where;
    Numbers key;
} Reader;

static PyObject *part_of(Reader *reader, Py_ssize_t value, int part)
{
    return PyTuple_GET_ITEM(PyList_GET_ITEM(reader->code, value), part);
}

static bool is_op(PyObject *op, const char *name) { return PyUnicode_CompareWithASCIIString(op, name) == 0; }

/* A number for a thing: equal things have equal numbers. */
static int64_t id_of(Reader *reader, PyObject *thing)
{
    PyObject *next = PyLong_FromSsize_t(PyDict_GET_SIZE(reader->ids));
    PyObject *found = next ? PyDict_SetDefault(reader->ids, thing, next) : NULL;
    int64_t id = found ? PyLong_AsLongLong(found) : -1;
    Py_XDECREF(next);
    return id;
}

/* Mark what is needed; the code that is rolled goes to `positions`. 1: all of it can be; 0: not; -1: an error. */
static int find_needed(Reader *reader, Py_ssize_t first)
{
    for (Py_ssize_t at = reader->end - 1; at >= first; at--) {
        if (!reader->inside[at])
            continue;
        PyObject *operands = part_of(reader, at, 1);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(operands); i++)
            reader->inside[PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i))] = 1;
    }
    for (Py_ssize_t at = first; at < reader->end; at++) {
        if (!reader->inside[at])
            continue;
        int rolls = PySet_Contains(reader->rollable, part_of(reader, at, 0));
        if (rolls < 0)
            return -1;
        if (rolls) {
            PyObject *value = PyLong_FromSsize_t(at);
            reader->inside[at] = 2;
            reader->place[at] = PyList_GET_SIZE(reader->positions);
            if (!value || PyList_Append(reader->positions, value) < 0) {
                Py_XDECREF(value);
                return -1;
            }
            Py_DECREF(value);
            continue;
        }
        PyObject *operands = part_of(reader, at, 1);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(operands); i++)
            if (reader->inside[PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i))] == 2)
                return 0;
    }
    return 1;
}

/* The dict of what is read from one place outside, such as an array: a borrowed reference. */
static PyObject *family_of(Reader *reader, unsigned char where, PyObject *what)
{
    if (where == ELEMENTS && what == reader->family_of)
        return reader->family;
    PyObject *family = PyTuple_Pack(2, reader->position_where[where], what);
    PyObject *fresh = family ? PyDict_New() : NULL;
    PyObject *values = fresh ? PyDict_SetDefault(reader->elements, family, fresh) : NULL;
    Py_XDECREF(fresh);
    Py_XDECREF(family);
    if (where == ELEMENTS && values) {
        reader->family = values;
        reader->family_of = what;
    }
    return values;
}

/* `outside` of ir/roll/statements.py; an element is noted. */
static bool find_place(Reader *reader, Py_ssize_t value)
{
    PyObject *op = part_of(reader, value, 0), *operands = part_of(reader, value, 1), *data = part_of(reader, value, 2);
    PyObject *what = NULL;
    reader->where[value] = VALUES;
    reader->place[value] = 0;
    if (is_op(op, "read") && PyTuple_GET_SIZE(operands) == 1 && PyTuple_GET_SIZE(PyTuple_GET_ITEM(data, 0)) == 0) {
        reader->where[value] = ELEMENTS;
        reader->place[value] = PyLong_AsLongLong(PyTuple_GET_ITEM(data, 1));
        what = PyTuple_GET_ITEM(operands, 0);
    } else if (is_op(op, "constant")) {
        reader->where[value] = CONSTANTS;
    } else if (is_op(op, "input")) {
        reader->where[value] = INPUTS;
        reader->place[value] = PyLong_AsLongLong(data);
        what = Py_None;
    } else if (is_op(op, "pos")) {
        reader->where[value] = COPIES;
        reader->place[value] = value;
        what = op;
    }
    if (!what)
        return !PyErr_Occurred();
    PyObject *values = family_of(reader, reader->where[value], what);
    PyObject *number = values ? PyLong_FromLongLong(reader->place[value]) : NULL;
    PyObject *found = number ? PyLong_FromSsize_t(value) : NULL;
    bool done = found && PyDict_SetItem(values, number, found) == 0;
    Py_XDECREF(found);
    Py_XDECREF(number);
    return done;
}

/* What does not change from instance to instance for an operand from outside: a new reference. */
static PyObject *what_of(Reader *reader, Py_ssize_t value, int64_t what)
{
    if (reader->where[value] == ELEMENTS)
        return Py_NewRef(PyTuple_GET_ITEM(part_of(reader, value, 1), 0));
    if (reader->where[value] == COPIES)
        return Py_NewRef(part_of(reader, value, 0));
    return what < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(what);
}

static PyObject *new_kind(Reader *reader, Py_ssize_t value, PyObject *line)
{
    PyObject *operands = part_of(reader, value, 1);
    Py_ssize_t count = PyTuple_GET_SIZE(operands);
    PyObject *sources = PyTuple_New(count);
    for (Py_ssize_t i = 0; sources && i < count; i++) {
        Py_ssize_t o = PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i));
        bool rolled = reader->inside[o] == 2;
        PyObject *what = rolled ? Py_NewRef(Py_None) : what_of(reader, o, reader->key.items[3 + 2 * i + 1]);
        PyObject *pair = what ? PyTuple_Pack(2, reader->position_where[rolled ? 0 : reader->where[o]], what) : NULL;
        Py_XDECREF(what);
        if (!pair)
            Py_CLEAR(sources);
        else
            PyTuple_SET_ITEM(sources, i, pair);
    }
    PyObject *kind = sources ? PyTuple_Pack(4, part_of(reader, value, 0), part_of(reader, value, 2), sources, line) : NULL;
    Py_XDECREF(sources);
    return kind;
}

/* The number of a kind, given its key; `sources` are the operands of a new one. */
static int64_t number_of_kind(Reader *reader, Py_ssize_t at, PyObject *line, PyObject *sources)
{
    Numbers *key = &reader->key;
    PyObject *bytes = PyBytes_FromStringAndSize((char *)key->items, key->count * sizeof *key->items);
    PyObject *next = bytes ? PyLong_FromSsize_t(PyList_GET_SIZE(reader->kinds)) : NULL;
    PyObject *found = next ? PyDict_SetDefault(reader->known, bytes, next) : NULL;
    int64_t number = found ? PyLong_AsLongLong(found) : -1;
    if (found == next && number >= 0) {
        PyObject *kind = sources ? PyTuple_Pack(4, part_of(reader, at, 0), part_of(reader, at, 2), sources, line)
                                 : new_kind(reader, at, line);
        if (!kind || PyList_Append(reader->kinds, kind) < 0)
            number = -1;
        Py_XDECREF(kind);
    }
    Py_XDECREF(next);
    Py_XDECREF(bytes);
    return number;
}

/* Operands that lie side by side: `side_by_side` of ir/roll/ranges.py says so. Their sources, or None; NULL after an error. */
static PyObject *sides_of(Reader *reader, Rolling *r, Py_ssize_t at)
{
    PyObject *operands = part_of(reader, at, 1);
    PyObject *positions = PyList_New(PyTuple_GET_SIZE(operands));
    for (Py_ssize_t i = 0; positions && i < PyTuple_GET_SIZE(operands); i++) {
        Py_ssize_t o = PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i));
        PyObject *position = PyLong_FromLongLong(reader->inside[o] == 2 ? reader->place[o] : -1);
        if (!position)
            Py_CLEAR(positions);
        else
            PyList_SET_ITEM(positions, i, position);
    }
    PyObject *value = positions ? PyLong_FromSsize_t(at) : NULL;
    PyObject *found = value ? PyObject_CallFunctionObjArgs(reader->side_by_side, reader->code, value, positions, NULL) : NULL;
    PyObject *sources = NULL, *numbers = NULL;
    Py_XDECREF(value);
    Py_XDECREF(positions);
    if (found && found != Py_None && PyArg_ParseTuple(found, "O!O!", &PyTuple_Type, &sources, &PyTuple_Type, &numbers)) {
        Py_INCREF(sources);
        for (Py_ssize_t i = 0; sources && i < PyTuple_GET_SIZE(numbers); i++)
            if (!add_number(&r->numbers, PyLong_AsLongLong(PyTuple_GET_ITEM(numbers, i))))
                Py_CLEAR(sources);
    } else if (found == Py_None)
        sources = Py_NewRef(Py_None);
    Py_XDECREF(found);
    return sources;
}

/* Where an operand comes from and what does not change there; its number goes onto the stack. */
static bool read_operand(Reader *reader, Rolling *r, Py_ssize_t o, bool exact, int64_t *where, int64_t *what)
{
    *where = 0;
    *what = -1;
    if (reader->inside[o] != 2) {
        if (reader->where[o] == UNKNOWN && !find_place(reader, o))
            return false;
        *where = reader->where[o];
        if (*where == VALUES || (*where == CONSTANTS && (exact || PyBool_Check(part_of(reader, o, 2)))))
            *what = o;
        else if (*where == ELEMENTS)
            *what = PyLong_AsLongLong(PyTuple_GET_ITEM(part_of(reader, o, 1), 0));
    }
    return add_number(&r->numbers, reader->ordinal && !*where ? reader->ordinal[o] : reader->place[o]);
}

/* Read a statement that is of the kind that was expected: in a loop, each kind comes after the same one as before. The kind;
-2 if it is another, -1 after an error. */
static int64_t read_expected(Reader *reader, Rolling *r, Py_ssize_t at, PyObject *line)
{
    int64_t kind = reader->last < 0 ? -1 : reader->read[reader->last].after, where, what;
    const KindRead *read = kind < 0 ? NULL : &reader->read[kind];
    PyObject *operands = part_of(reader, at, 1);
    if (!read || !read->count || read->op != part_of(reader, at, 0) || read->data != part_of(reader, at, 2)
        || read->line != line || read->count != PyTuple_GET_SIZE(operands))
        return -2;
    Py_ssize_t start = r->numbers.count;
    for (Py_ssize_t i = 0; i < read->count; i++) {
        const int64_t *key = reader->keys.items + read->key + 2 * i;
        if (!read_operand(reader, r, PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i)), read->exact, &where, &what))
            return -1;
        if (where != key[0] || what != key[1]) {
            r->numbers.count = start;
            return -2;
        }
    }
    return kind;
}

/* Note what a statement of a kind had, if it is the first of it. The key begins with three numbers, of the operation and so
on; `count` operands follow, or none if the kind must be read in full. */
static bool note_read(Reader *reader, int64_t kind, PyObject *op, PyObject *data, PyObject *line, Py_ssize_t count, bool exact)
{
    while (kind >= reader->read_room) {
        Py_ssize_t room = reader->read_room ? 2 * reader->read_room : 64;
        KindRead *read = PyMem_Realloc(reader->read, room * sizeof *read);
        if (!read) {
            PyErr_NoMemory();
            return false;
        }
        memset(read + reader->read_room, 0, (room - reader->read_room) * sizeof *read);
        reader->read = read;
        reader->read_room = room;
    }
    if (reader->read[kind].op)
        return true;
    reader->read[kind] = (KindRead){op, data, line, reader->keys.count, count, exact, -1};
    for (Py_ssize_t i = 0; i < 2 * count; i++)
        if (!add_number(&reader->keys, reader->key.items[3 + i]))
            return false;
    return true;
}

/* Read a statement of any kind: its kind, and its numbers onto the stack; -1 after an error. */
static int64_t read_in_full(Reader *reader, Rolling *r, Py_ssize_t at, PyObject *line)
{
    PyObject *op = part_of(reader, at, 0), *operands = part_of(reader, at, 1), *data = part_of(reader, at, 2);
    int exact = PySet_Contains(reader->exact, op);
    if (exact < 0)
        return -1;
    const int64_t ids[] = {id_of(reader, op), id_of(reader, data), id_of(reader, line)};
    Numbers *key = &reader->key;
    key->count = 0;
    for (int i = 0; i < 3; i++)
        if (ids[i] < 0 || !add_number(key, ids[i]))
            return -1;
    int many = PySet_Contains(reader->many, op);
    PyObject *sources = many > 0 ? sides_of(reader, r, at) : NULL;
    if (many < 0 || (many && !sources))
        return -1;
    if (sources && sources != Py_None) {
        int64_t id = id_of(reader, sources), number = -1;
        if (id >= 0 && add_number(key, -2) && add_number(key, id)) /* no operand is from -2 */
            number = number_of_kind(reader, at, line, sources);
        Py_DECREF(sources);
        return number >= 0 && note_read(reader, number, op, data, line, 0, exact) ? number : -1;
    }
    Py_XDECREF(sources);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(operands); i++) {
        Py_ssize_t o = PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i));
        int64_t where, what;
        if (!read_operand(reader, r, o, exact, &where, &what) || !add_number(key, where) || !add_number(key, what))
            return -1;
    }
    int64_t number = number_of_kind(reader, at, line, NULL);
    Py_ssize_t count = many ? 0 : PyTuple_GET_SIZE(operands);
    return number >= 0 && note_read(reader, number, op, data, line, count, exact) ? number : -1;
}

/* Read a statement: its kind, and its numbers onto the stack; -1 after an error. */
static int64_t read_statement(Reader *reader, Rolling *r, PyObject *value)
{
    Py_ssize_t at = PyLong_AsSsize_t(value);
    PyObject *line = PyDict_GET_SIZE(reader->lines) ? PyDict_GetItemWithError(reader->lines, value) : NULL;
    if (!line && PyErr_Occurred())
        return -1;
    line = line ? line : Py_None;
    int64_t kind = read_expected(reader, r, at, line);
    if (kind == -2 && (kind = read_in_full(reader, r, at, line)) >= 0 && reader->last >= 0)
        reader->read[reader->last].after = kind;
    if (kind >= 0)
        reader->last = kind;
    return kind;
}

/* ---- what Python gets ---- */

static PyObject *as_tuple(const int64_t *items, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *number = PyLong_FromLongLong(items[i]);
        if (!number)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, number);
    }
    return tuple;
}

static bool append_new(PyObject *list, PyObject *thing)
{
    bool done = thing && PyList_Append(list, thing) == 0;
    Py_XDECREF(thing);
    return done;
}

/* Note a statement, whose numbers are the last on the stack from `start` on, and which instance of its kind it is. */
static bool note_instance(Reader *reader, const Rolling *r, Py_ssize_t at, int64_t kind, Py_ssize_t start)
{
    PyObject *vector = as_tuple(r->numbers.items + start, r->numbers.count - start);
    if (!append_new(reader->statements, vector ? Py_BuildValue("LN", (long long)kind, vector) : NULL))
        return false;
    while (reader->counts.count <= kind)
        if (!add_number(&reader->counts, 0))
            return false;
    reader->ordinal[at] = kind << BODY_SHIFT | reader->counts.items[kind]++;
    return true;
}

static PyObject *rolled_result(Reader *reader, Rolling *r)
{
    PyObject *shapes = PyList_New(0), *vectors = PyList_New(0), *bodies = PyList_New(0);
    bool done = shapes && vectors && bodies;
    for (Py_ssize_t i = 0; done && i < r->shapes.count; i++) {
        int64_t start = start_of(r, i);
        done = append_new(shapes, PyLong_FromLongLong(r->shapes.items[i]))
               && append_new(vectors, as_tuple(r->numbers.items + start, start_of(r, i + 1) - start));
    }
    for (Py_ssize_t i = 0; done && i < r->body_count; i++) {
        const RolledBody *body = &r->bodies[i];
        PyObject *inside = as_tuple(r->parts.items + body->shapes, body->length);
        PyObject *step = as_tuple(r->parts.items + body->steps, body->width);
        done = inside && step && append_new(bodies, PyTuple_Pack(2, inside, step));
        Py_XDECREF(inside);
        Py_XDECREF(step);
    }
    PyObject *result = done ? PyTuple_Pack(7, reader->positions, reader->kinds, reader->elements, shapes, vectors, bodies,
                                           reader->statements)
                            : NULL;
    Py_XDECREF(shapes);
    Py_XDECREF(vectors);
    Py_XDECREF(bodies);
    return result;
}

static bool begin_reading(Reader *reader, Rolling *r, bool ordinals)
{
    const char *names[] = {"position", "constant", "element", "input", "input", "value"};
    for (int i = 0; i < 6; i++)
        if (!(reader->position_where[i] = PyUnicode_InternFromString(names[i])))
            return false;
    reader->inside = PyMem_Calloc(reader->end + 1, 1);
    reader->where = PyMem_Calloc(reader->end + 1, 1);
    reader->place = PyMem_Calloc(reader->end + 1, sizeof *reader->place);
    if (ordinals)
        reader->ordinal = PyMem_Calloc(reader->end + 1, sizeof *reader->ordinal);
    if (!reader->inside || !reader->where || !reader->place || (ordinals && !reader->ordinal)) {
        PyErr_NoMemory();
        return false;
    }
    return (reader->positions = PyList_New(0)) && (reader->kinds = PyList_New(0)) && (reader->elements = PyDict_New())
           && (reader->statements = PyList_New(0)) && (reader->ids = PyDict_New()) && (reader->known = PyDict_New()) && (r->known = PyDict_New());
}

static void end_reading(Reader *reader, Rolling *r)
{
    for (int i = 0; i < 6; i++)
        Py_XDECREF(reader->position_where[i]);
    Py_XDECREF(reader->positions);
    Py_XDECREF(reader->kinds);
    Py_XDECREF(reader->elements);
    Py_XDECREF(reader->statements);
    Py_XDECREF(reader->ids);
    Py_XDECREF(reader->known);
    Py_XDECREF(r->known);
    PyMem_Free(reader->inside);
    PyMem_Free(reader->where);
    PyMem_Free(reader->place);
    PyMem_Free(reader->ordinal);
    PyMem_Free(reader->read);
    PyMem_Free(reader->keys.items);
    PyMem_Free(reader->counts.items);
    PyMem_Free(reader->key.items);
    PyMem_Free(r->shapes.items);
    PyMem_Free(r->starts.items);
    PyMem_Free(r->numbers.items);
    PyMem_Free(r->parts.items);
    PyMem_Free(r->bodies);
}

static bool mark_wanted(Reader *reader, PyObject *wanted)
{
    reader->end = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(wanted); i++) {
        Py_ssize_t value = PyLong_AsSsize_t(PyList_GET_ITEM(wanted, i));
        if (value < 0 || value >= PyList_GET_SIZE(reader->code)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_IndexError, "a value that is wanted is not in the code");
            return false;
        }
        reader->end = value >= reader->end ? value + 1 : reader->end;
    }
    return true;
}

/* find_loops(code, first, wanted, lines, fewest, longest, pairs, rollable, exact, many, side_by_side, ordinals): see
   `find_loops` of ir/roll/statements.py. */
static PyObject *value_find_loops(PyObject *module, PyObject *args)
{
    Reader reader = {.last = -1};
    Rolling r = {0};
    PyObject *wanted, *result = NULL;
    Py_ssize_t first, fewest, longest, pairs;
    int ordinals;
    if (!PyArg_ParseTuple(args, "O!nO!O!nnnO!O!O!Op", &PyList_Type, &reader.code, &first, &PyList_Type, &wanted,
                          &PyDict_Type, &reader.lines, &fewest, &longest, &pairs, &PyFrozenSet_Type, &reader.rollable,
                          &PyFrozenSet_Type, &reader.exact, &PyFrozenSet_Type, &reader.many, &reader.side_by_side,
                          &ordinals)
        || !mark_wanted(&reader, wanted))
        return NULL;
    if (begin_reading(&reader, &r, ordinals)) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(wanted); i++)
            reader.inside[PyLong_AsSsize_t(PyList_GET_ITEM(wanted, i))] = 1;
        int possible = find_needed(&reader, first);
        if (possible >= 0 && (!possible || PyList_GET_SIZE(reader.positions) < fewest))
            result = Py_NewRef(Py_None);
        else if (possible > 0) {
            Py_ssize_t i = 0, count = PyList_GET_SIZE(reader.positions);
            for (; i < count; i++) {
                Py_ssize_t start = r.numbers.count;
                PyObject *value = PyList_GET_ITEM(reader.positions, i);
                int64_t kind = read_statement(&reader, &r, value);
                if (kind < 0 || (ordinals && !note_instance(&reader, &r, PyLong_AsSsize_t(value), kind, start))
                    || !push(&r, LEAF(kind), longest, start))
                    break;
            }
            if (i == count && roll_again(&r, longest, pairs))
                result = rolled_result(&reader, &r);
        }
    }
    end_reading(&reader, &r);
    return result;
}
