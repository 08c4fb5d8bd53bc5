/* A run of a function of which a tape notes the operations: the common case of capture/shared/tape.py, which defines it.

An operation on tracers of a `TapeTrace` is an event. What it is goes to `shapes`, where its operands come from goes to
`numbers`, and what it computes is known at once, because a comparison may ask for it. */

static PyTypeObject *tape_type;
static PyObject *tape_line_name;
static Py_ssize_t longest_tape; /* so far: a new one has room for as many events */
static Py_ssize_t tape_at; /* the slot of a TapeTrace that has the tape */

enum { GUARD_EVENT = RULE_COUNT + OTHERS, READ_EVENT, NUMBER_EVENT, EVENTS }; /* the last: a `stop` of a plain number */
static const char *const EVENT_NAMES[] = {"guard", "read", "number"};
#define LONG_TAPE (1 << 20)
enum { FROM_EVENT, FROM_CONSTANT, FROM_ELEMENT, FROM_EXACT }; /* where an operand comes from */
#define EXACT_SIZE 2 /* the bits of a constant that is part of a kind, in `shapes` */

typedef struct {
    double value;
    int32_t kept;   /* the event to be used in its place: see `Tape.truth` */
    int32_t raw[2]; /* of a comparison: its operands, if they are events */
    int32_t shape, number; /* where it begins in `shapes` and in `numbers` */
    int16_t op;
    bool guarded;
} Event;

typedef struct {
    int32_t *items;
    Py_ssize_t count, room;
} Shapes;

typedef struct {
    int64_t where, what, number, raw;
    double value;
} Source;

typedef struct {
    PyObject_HEAD
    Event *events;
    Py_ssize_t count, room;
    Shapes shapes;
    Numbers numbers, outcomes;
    double *given;     /* the numbers of the arguments, one array after the other */
    Py_ssize_t *first; /* where each array begins, and the end */
    Py_ssize_t arrays;
    PyObject *lines; /* of the guards */
} Tape;

static Tape *tape_of(PyObject *trace)
{
    PyObject *tape = read_slot(trace, tape_at);
    return tape && Py_IS_TYPE(tape, tape_type) ? (Tape *)tape : NULL;
}

/* ---- events ---- */

/* A block with room for so many items of a size, or NULL after an error. */
static void *grown(void *items, Py_ssize_t *room, Py_ssize_t needed, size_t size)
{
    Py_ssize_t more = 2 * *room > needed ? 2 * *room : needed + 1024;
    void *found = needed <= INT32_MAX ? PyMem_Realloc(items, (size_t)more * size) : NULL;
    if (found)
        *room = more;
    else if (needed > INT32_MAX)
        PyErr_SetString(PyExc_OverflowError, "the tape is too long");
    else
        PyErr_NoMemory();
    return found;
}

/* Room for an event of so many operands. */
static bool make_room_for_event(Tape *tape, Py_ssize_t operands)
{
    Shapes *shapes = &tape->shapes;
    Numbers *numbers = &tape->numbers;
    Py_ssize_t shape = shapes->count + 2 + 3 * operands, number = numbers->count + operands;
    void *found;
    if (shape > shapes->room) {
        if (!(found = grown(shapes->items, &shapes->room, shape, sizeof *shapes->items)))
            return false;
        shapes->items = found;
    }
    if (number > numbers->room) {
        if (!(found = grown(numbers->items, &numbers->room, number, sizeof *numbers->items)))
            return false;
        numbers->items = found;
    }
    if (tape->count == tape->room) {
        if (!(found = grown(tape->events, &tape->room, tape->count + 1, sizeof *tape->events)))
            return false;
        tape->events = found;
    }
    return true;
}

/* The number of a new event; -1 after an error. */
static int64_t note_event(Tape *tape, int op, const Source *sources, Py_ssize_t count, double value)
{
    if (!make_room_for_event(tape, count))
        return -1;
    Event *event = &tape->events[tape->count];
    *event = (Event){
        .value = value, .kept = (int32_t)tape->count, .raw = {-1, -1}, .shape = (int32_t)tape->shapes.count,
        .number = (int32_t)tape->numbers.count, .op = (int16_t)op,
    };
    int32_t *shape = tape->shapes.items + tape->shapes.count;
    int64_t *number = tape->numbers.items + tape->numbers.count;
    *shape++ = op;
    *shape++ = (int32_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        bool exact = op == RULE_pow && sources[i].where == FROM_CONSTANT;
        *shape++ = exact ? FROM_EXACT : (int32_t)(sources[i].where | sources[i].what << 2);
        if (exact) {
            memcpy(shape, &sources[i].number, sizeof sources[i].number);
            shape += EXACT_SIZE;
        }
        *number++ = sources[i].number;
        if (i < 2)
            event->raw[i] = (int32_t)sources[i].raw;
    }
    tape->shapes.count = shape - tape->shapes.items;
    tape->numbers.count = number - tape->numbers.items;
    return tape->count++;
}

static bool from_event(const Tape *tape, int64_t event, Source *source)
{
    if (event < 0 || event >= tape->count)
        return false;
    *source = (Source){FROM_EVENT, 0, tape->events[event].kept, event, tape->events[event].value};
    return true;
}

static Source from_constant(double x)
{
    Source source = {FROM_CONSTANT, 0, 0, -1, x};
    memcpy(&source.number, &x, sizeof x);
    return source;
}

static bool from_element(const Tape *tape, Py_ssize_t array, Py_ssize_t offset, Source *source)
{
    if (array < 0 || array >= tape->arrays || offset < 0 || offset >= tape->first[array + 1] - tape->first[array])
        return false;
    *source = (Source){FROM_ELEMENT, array, offset, -1, tape->given[tape->first[array] + offset]};
    return true;
}

/* Where an operand comes from; false if Python code must see it. */
static bool find_source(const Tape *tape, PyObject *trace, PyObject *operand, Source *source)
{
    double x;
    if (is_tracer(operand)) {
        const Tracer *tracer = tracer_of(operand);
        Py_ssize_t event = index_of(operand);
        if (tracer->builder != trace)
            return false;
        return event >= 0 ? from_event(tape, event, source) : from_element(tape, tracer->array, tracer->offset, source);
    }
    if (take(operand, &x) != 0)
        return false;
    *source = from_constant(x);
    return true;
}

/* What an operation computes; an error is set where it raises. */
static double value_of_event(int op, const double *x, Py_ssize_t count)
{
    if (op < RULE_COUNT)
        return ROWS[op].arity < 0 ? value_of_many(op, x, count) : value_of(op, x);
    switch (op - RULE_COUNT) {
    case LESS: return x[0] < x[1];
    case LESS_EQUAL: return x[0] <= x[1];
    case GREATER: return x[0] > x[1];
    case GREATER_EQUAL: return x[0] >= x[1];
    case EQUAL: return x[0] == x[1];
    case UNEQUAL: return x[0] != x[1];
    case AND: return x[0] != 0.0 && x[1] != 0.0;
    case OR: return x[0] != 0.0 || x[1] != 0.0;
    case NOT: return x[0] == 0.0;
    case SELECT: return x[0] != 0.0 ? x[1] : x[2];
    default: return x[0]; /* a `stop` */
    }
}

/* How many operands an operation has; -1: any number, -2: it is no operation of a tape. */
static int arity_of_event(int op)
{
    if (op < RULE_COUNT)
        return op == RULE_fsum || op == RULE_take ? -2 : ROWS[op].arity;
    if (op == NUMBER_EVENT || op == RULE_COUNT + STOP || op == RULE_COUNT + NOT)
        return 1;
    if (op == RULE_COUNT + SELECT)
        return 3;
    return op <= RULE_COUNT + OR ? 2 : -2;
}

/* The event of an operation; -1 after an error, -2 if Python code must see it. */
static int64_t note_operation(Tape *tape, int op, const Source *sources, Py_ssize_t count)
{
    double few[SMALL], *x = count <= SMALL ? few : PyMem_Malloc((size_t)count * sizeof *x);
    if (!x) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        x[i] = sources[i].value;
    double value = value_of_event(op, x, count);
    if (x != few)
        PyMem_Free(x);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return -2;
    }
    return note_event(tape, op, sources, count, value);
}

/* ---- what a tracer does ---- */

/* A comparison has events as operands: an element or a constant becomes one. */
static bool as_event(Tape *tape, Source *source)
{
    if (source->where == FROM_EVENT)
        return true;
    int op = source->where == FROM_ELEMENT ? READ_EVENT : RULE_COUNT + CONSTANT;
    int64_t event = note_event(tape, op, source, 1, source->value);
    return event >= 0 && from_event(tape, event, source);
}

/* The event of an operation on operands of any kind; -1 after an error, -2 if Python code must see it. */
static int64_t note_operands(Tape *tape, PyObject *trace, int op, PyObject *const *operands, Py_ssize_t count)
{
    Source few[SMALL], *sources = count <= SMALL ? few : PyMem_Malloc((size_t)count * sizeof *sources);
    int arity = arity_of_event(op);
    int64_t event = -2;
    Py_ssize_t i = 0;
    if (!sources) {
        PyErr_NoMemory();
        return -1;
    }
    while (i < count && find_source(tape, trace, operands[i], &sources[i]))
        i++;
    if (i == count && count && (arity == -1 || arity == count)) {
        for (i = 0; op >= RULE_COUNT && event != -1 && i < count; i++)
            event = as_event(tape, &sources[i]) ? -2 : -1;
        event = event == -1 ? -1 : note_operation(tape, op, sources, count);
    }
    if (sources != few)
        PyMem_Free(sources);
    return event;
}

static PyObject *tape_operation(PyObject *trace, int op, PyObject *const *operands, Py_ssize_t count, bool truth)
{
    Tape *tape = tape_of(trace);
    int64_t event = tape ? note_operands(tape, trace, op, operands, count) : -2;
    if (event < 0)
        return event == -1 ? NULL : NOT_MINE;
    if (!truth)
        return new_tracer(trace, NULL, A_VALUE, event);
    return new_truth(trace, PyLong_FromLongLong(event));
}

/* `Traced._stop`, of which a tape notes an event. */
static PyObject *native_stop(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 2 || !is_tracer(args[0]))
        return NOT_MINE;
    PyObject *trace = trace_in_force(), *stopped = NOT_MINE;
    if (!trace)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (is_tape_trace(trace) && builder_of(args[0]) == trace)
        stopped = tape_operation(trace, args[1] == Py_None ? RULE_COUNT + STOP : NUMBER_EVENT, args, 1, false);
    Py_DECREF(trace);
    return stopped;
}

/* `Tape.truth`: an outcome that becomes a guard. */
static PyObject *tape_truth(PyObject *trace, Tape *tape, int64_t event)
{
    Source sources[3];
    if (!from_event(tape, event, &sources[0]))
        return PyErr_Format(PyExc_IndexError, "no event %lld", (long long)event);
    bool outcome = sources[0].value != 0.0;
    const Event compared = tape->events[event];
    if (compared.guarded)
        return PyBool_FromLong(outcome);
    tape->events[event].guarded = true;
    PyObject *line = Py_XNewRef(line_known(trace));
    if (!line && !PyErr_Occurred())
        line = PyObject_CallMethodNoArgs(trace, tape_line_name);
    int status = line ? PyList_Append(tape->lines, line) : -1;
    Py_XDECREF(line);
    if (status < 0 || note_event(tape, GUARD_EVENT, sources, 1, 0.0) < 0 || !add_number(&tape->outcomes, outcome))
        return NULL;
    bool choice = compared.op == RULE_COUNT + LESS || compared.op == RULE_COUNT + GREATER;
    for (int i = 0; choice && i < 2; i++) {
        int64_t raw = compared.raw[i];
        choice = raw >= 0 && (tape->events[raw].op == NUMBER_EVENT || tape->events[raw].op == RULE_COUNT + STOP)
                 && from_event(tape, raw, &sources[i + 1]);
    }
    if (choice) {
        int64_t kept = note_event(tape, RULE_COUNT + SELECT, sources, 3, sources[outcome ? 1 : 2].value);
        if (kept < 0)
            return NULL;
        tape->events[compared.raw[outcome ? 0 : 1]].kept = (int32_t)kept;
    }
    return PyBool_FromLong(outcome);
}

static PyObject *truth_on_tape(PyObject *trace, PyObject *place)
{
    Tape *tape = tape_of(trace);
    if (!tape || read_slot(trace, compare_at.deciding) != Py_None || read_slot(trace, compare_at.taken) != Py_None)
        return NOT_MINE;
    return tape_truth(trace, tape, PyLong_AsLongLong(place));
}

/* ---- the type ---- */

static PyObject *tape_place(PyObject *self, PyObject *traced)
{
    Tape *tape = (Tape *)self;
    Source source;
    if (!is_tracer(traced) || !find_source(tape, builder_of(traced), traced, &source))
        Py_RETURN_NONE;
    int64_t event = source.where == FROM_EVENT ? source.raw : note_event(tape, READ_EVENT, &source, 1, source.value);
    return event < 0 ? NULL : PyLong_FromLongLong(event);
}

static PyObject *tape_constant(PyObject *self, PyObject *number)
{
    double x = PyFloat_AsDouble(number);
    if (x == -1.0 && PyErr_Occurred())
        return NULL;
    Source source = from_constant(x);
    int64_t event = note_event((Tape *)self, RULE_COUNT + CONSTANT, &source, 1, x);
    return event < 0 ? NULL : PyLong_FromLongLong(event);
}

static int op_named(PyObject *name)
{
    PyObject *code = PyDict_GetItemWithError(codes_by_name, name);
    return code ? (int)PyLong_AsLong(code) : PyUnicode_CompareWithASCIIString(name, "number") == 0 ? NUMBER_EVENT : -1;
}

static PyObject *tape_operate(PyObject *self, PyObject *args)
{
    PyObject *trace, *name, *operands;
    if (!PyArg_ParseTuple(args, "OUO!", &trace, &name, &PyTuple_Type, &operands))
        return NULL;
    int op = op_named(name);
    int64_t event = op < 0 ? -2
                           : note_operands((Tape *)self, trace, op, ((PyTupleObject *)operands)->ob_item,
                                           PyTuple_GET_SIZE(operands));
    if (event == -1 || PyErr_Occurred())
        return NULL;
    return event < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(event);
}

static PyObject *tape_emit(PyObject *self, PyObject *args)
{
    Tape *tape = (Tape *)self;
    PyObject *name, *places;
    if (!PyArg_ParseTuple(args, "UO!", &name, &PyTuple_Type, &places))
        return NULL;
    int op = op_named(name);
    Py_ssize_t count = PyTuple_GET_SIZE(places), i = 0;
    int arity = op < 0 ? -2 : arity_of_event(op);
    Source few[SMALL], *sources = count <= SMALL ? few : PyMem_Malloc((size_t)count * sizeof *sources);
    if (!sources)
        return PyErr_NoMemory();
    while (i < count && from_event(tape, PyLong_AsLongLong(PyTuple_GET_ITEM(places, i)), &sources[i]))
        i++;
    int64_t event = i == count && count && (arity == -1 || arity == count) ? note_operation(tape, op, sources, count) : -2;
    if (sources != few)
        PyMem_Free(sources);
    if (event == -1 || PyErr_Occurred())
        return NULL;
    return event < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(event);
}

static PyObject *tape_truth_of(PyObject *self, PyObject *args)
{
    PyObject *trace;
    long long event;
    if (!PyArg_ParseTuple(args, "OL", &trace, &event))
        return NULL;
    return tape_truth(trace, (Tape *)self, event);
}

static PyObject *tape_bytes(const void *items, Py_ssize_t count, size_t size)
{
    return PyBytes_FromStringAndSize(items, count * (Py_ssize_t)size);
}

/* Find what guards and results need; the numbers of these events go to `place`, those of others are -1. */
static void number_needed(const Tape *tape, int32_t *place)
{
    int32_t count = 0;
    for (Py_ssize_t k = tape->count - 1; k >= 0; k--) {
        const Event *event = &tape->events[k];
        if (event->op != GUARD_EVENT && !place[k])
            continue;
        place[k] = 1;
        const int32_t *shape = tape->shapes.items + event->shape;
        const int64_t *number = tape->numbers.items + event->number;
        for (int32_t i = 0, operands = shape[1], at = 2; i < operands; i++, at++) {
            if (shape[at] == FROM_EVENT)
                place[number[i]] = 1;
            at += shape[at] == FROM_EXACT ? EXACT_SIZE : 0;
        }
    }
    for (Py_ssize_t k = 0; k < tape->count; k++)
        place[k] = place[k] ? count++ : -1;
}

/* Leave out what is not needed, and number the rest anew, in place. */
static void keep_needed(Tape *tape, const int32_t *place)
{
    int32_t *shapes = tape->shapes.items;
    int64_t *numbers = tape->numbers.items;
    for (Py_ssize_t k = 0; k < tape->count; k++) {
        const Event *event = &tape->events[k];
        const int32_t *shape = tape->shapes.items + event->shape;
        const int64_t *number = tape->numbers.items + event->number;
        Py_ssize_t end = k + 1 == tape->count ? tape->shapes.count : event[1].shape, size = end - event->shape;
        if (place[k] < 0)
            continue;
        for (int32_t i = 0, operands = shape[1], at = 2; i < operands; i++, at++) {
            *numbers++ = shape[at] == FROM_EVENT ? place[number[i]] : number[i];
            at += shape[at] == FROM_EXACT ? EXACT_SIZE : 0;
        }
        memmove(shapes, shape, (size_t)size * sizeof *shapes);
        shapes += size;
    }
    tape->shapes.count = shapes - tape->shapes.items;
    tape->numbers.count = numbers - tape->numbers.items;
}

/* Tape.noted(results): what is needed for some events and for the guards; their numbers in it. The tape ends with that. */
static PyObject *tape_noted(PyObject *self, PyObject *results)
{
    Tape *tape = (Tape *)self;
    int32_t *place = PyMem_Calloc((size_t)tape->count + 1, sizeof *place);
    PyObject *now = place && PyList_Check(results) ? PyList_New(0) : NULL, *found = NULL;
    bool fine = now != NULL;
    for (Py_ssize_t i = 0; fine && i < PyList_GET_SIZE(results); i++) {
        Py_ssize_t event = PyLong_AsSsize_t(PyList_GET_ITEM(results, i));
        fine = event >= 0 && event < tape->count;
        if (fine)
            place[event] = 1;
    }
    if (fine) {
        number_needed(tape, place);
        keep_needed(tape, place);
    }
    for (Py_ssize_t i = 0; fine && i < PyList_GET_SIZE(results); i++)
        fine = append_new(now, PyLong_FromLong(place[PyLong_AsSsize_t(PyList_GET_ITEM(results, i))]));
    if (fine) {
        longest_tape = tape->count > longest_tape ? tape->count : longest_tape;
        const Numbers *numbers = &tape->numbers, *outcomes = &tape->outcomes;
        found = Py_BuildValue("NNNOO", tape_bytes(tape->shapes.items, tape->shapes.count, sizeof *tape->shapes.items),
                              tape_bytes(numbers->items, numbers->count, sizeof *numbers->items),
                              tape_bytes(outcomes->items, outcomes->count, sizeof *outcomes->items), tape->lines, now);
        tape->count = 0;
    } else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "a result is no event of the tape");
    Py_XDECREF(now);
    PyMem_Free(place);
    return found;
}

/* Tape(arrays): the numbers of the arguments, each a list of floats. */
static PyObject *tape_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *arrays;
    if (!PyArg_ParseTuple(args, "O!", &PyList_Type, &arrays))
        return NULL;
    Tape *tape = (Tape *)type->tp_alloc(type, 0);
    if (!tape)
        return NULL;
    Py_ssize_t size = 0, at = 0;
    tape->arrays = PyList_GET_SIZE(arrays);
    for (Py_ssize_t i = 0; i < tape->arrays; i++)
        size += PyList_CheckExact(PyList_GET_ITEM(arrays, i)) ? PyList_GET_SIZE(PyList_GET_ITEM(arrays, i)) : 0;
    tape->first = PyMem_Calloc((size_t)tape->arrays + 1, sizeof *tape->first);
    tape->given = PyMem_Calloc((size_t)size + 1, sizeof *tape->given);
    tape->lines = PyList_New(0);
    Py_ssize_t room = longest_tape < LONG_TAPE ? longest_tape : 0;
    bool fine = true;
    if (room)
        fine = (tape->events = grown(NULL, &tape->room, room, sizeof *tape->events))
               && (tape->shapes.items = grown(NULL, &tape->shapes.room, 4 * room, sizeof *tape->shapes.items))
               && (tape->numbers.items = grown(NULL, &tape->numbers.room, 2 * room, sizeof *tape->numbers.items));
    if (!tape->first || !tape->given || !tape->lines || !fine) {
        Py_DECREF(tape);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; i < tape->arrays; i++) {
        PyObject *list = PyList_GET_ITEM(arrays, i);
        tape->first[i] = at;
        for (Py_ssize_t k = 0; PyList_CheckExact(list) && k < PyList_GET_SIZE(list); k++)
            tape->given[at++] = PyFloat_AsDouble(PyList_GET_ITEM(list, k));
    }
    tape->first[tape->arrays] = at;
    if (PyErr_Occurred())
        Py_CLEAR(tape);
    return (PyObject *)tape;
}

static void tape_dealloc(PyObject *self)
{
    Tape *tape = (Tape *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(tape->events);
    PyMem_Free(tape->shapes.items);
    PyMem_Free(tape->numbers.items);
    PyMem_Free(tape->outcomes.items);
    PyMem_Free(tape->given);
    PyMem_Free(tape->first);
    Py_XDECREF(tape->lines);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef tape_methods[] = {
    {"place", tape_place, METH_O, "The event of a tracer; an element is read."},
    {"constant", tape_constant, METH_O, "The event of a constant."},
    {"operate", tape_operate, METH_VARARGS, "The event of a primitive on operands of any kind, or None."},
    {"emit", tape_emit, METH_VARARGS, "The event of an operation on events; None if it is no operation of a tape."},
    {"truth", tape_truth_of, METH_VARARGS, "The outcome of a comparison, which becomes a guard."},
    {"noted", tape_noted, METH_O, "What was noted, as far as some events and the guards need it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot tape_slots[] = {
    {Py_tp_new, tape_new}, {Py_tp_dealloc, tape_dealloc}, {Py_tp_methods, tape_methods}, {0, NULL},
};

static PyType_Spec tape_spec = {"autograd._value.Tape", sizeof(Tape), 0, Py_TPFLAGS_DEFAULT, tape_slots};

/* tape(TapeTrace): tape.py calls it once; the type Tape, and the names of the operations by their numbers. */
static PyObject *value_tape(PyObject *module, PyObject *type)
{
    (void)module;
    PyObject *names = PyList_New(0);
    if (!names || !PyType_Check(type) || !find_offset((PyTypeObject *)type, "tape", &tape_at)
        || !(tape_line_name = PyUnicode_InternFromString("line"))
        || !(tape_type = (PyTypeObject *)PyType_FromSpec(&tape_spec)))
        return NULL;
    for (int op = 0; op < EVENTS; op++) {
        int other = op - RULE_COUNT, event = other - OTHERS;
        PyObject *name = event >= 0   ? PyUnicode_FromString(EVENT_NAMES[event])
                         : other >= 0 ? Py_NewRef(other_names[other])
                                      : Py_NewRef(row_names[op]);
        int status = name ? PyList_Append(names, name) : -1;
        Py_XDECREF(name);
        if (status < 0)
            return NULL;
    }
    tape_trace_type = (PyTypeObject *)Py_NewRef(type);
    return Py_BuildValue("ON", tape_type, names);
}
