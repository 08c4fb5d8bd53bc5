/* Comparisons during a capture: the common case of `Traced.__lt__` and its like, and of `Watched.truth`.

A comparison of two numbers becomes an instruction. Where Python asks for its outcome, the numbers of the run that is
watched are computed as far as it depends on them, and kept, as `Watched.value` does. */

static PyTypeObject *truth_type, *guard_type; /* TracedTruth and Guard */
static PyObject *input_name, *truth_name, *note_guard_name;
static PyObject *packages; /* how the names of files begin that belong to these packages */

static struct {
    Py_ssize_t types, plain, numbers, given, guarded, guards, lines, deciding, taken; /* of a Trace */
    Py_ssize_t builder, index;                                                        /* of a TracedTruth */
} compare_at;

/* Whether code belongs to these packages: 1 or 0; -1 after an error. */
static int is_own(PyCodeObject *code)
{
    int own = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(packages) && !own; i++)
        own = (int)PyUnicode_Tailmatch(code->co_filename, PyTuple_GET_ITEM(packages, i), 0, PY_SSIZE_T_MAX, -1);
    return own;
}

/* `calling_frame` of modes.py: a new reference. */
static PyFrameObject *calling_frame(void)
{
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    while (frame) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        int own = is_own(code);
        Py_DECREF(code);
        PyFrameObject *back = own > 0 ? PyFrame_GetBack(frame) : NULL;
        if (own < 0)
            Py_CLEAR(frame);
        if (!back)
            break;
        Py_SETREF(frame, back);
    }
    return frame;
}

/* Whether the code of a frame is in a dict by its address: 1 or 0; -1 after an error. */
static int is_among(PyFrameObject *frame, PyObject *known)
{
    PyObject *code = (PyObject *)PyFrame_GetCode(frame), *key = PyLong_FromVoidPtr(code);
    int found = key ? PyDict_Contains(known, key) : -1;
    Py_XDECREF(key);
    Py_DECREF(code);
    return found;
}

/* Whether a trace knows the code of the calling function: as such that cannot tell a truth from a bool. */
static int code_is_plain(PyObject *trace)
{
    PyObject *plain = read_slot(trace, compare_at.plain);
    PyFrameObject *frame = PyEval_GetFrame();
    Known *known = known_by(trace);
    if (!known)
        return -1;
    if (!frame || !plain || !PyDict_CheckExact(plain) || PyDict_GET_SIZE(plain) == 0)
        return 0;
    PyCodeObject *code = PyFrame_GetCode(frame);
    Py_DECREF(code);
    if (code == known->plain)
        return 1;
    int found = is_among(frame, plain);
    if (found > 0)
        known->plain = code;
    if (found || !(frame = calling_frame())) /* code of these packages compares for its caller */
        return found ? found : -1;
    found = is_among(frame, plain);
    Py_DECREF(frame);
    return found;
}

/* Truths live for a moment: the memory of some is used again. */
#ifdef AUTOGRAD_PLAIN_MEMORY
enum { FREE_TRUTHS = 0 };
#else
enum { FREE_TRUTHS = 32 };
#endif
static PyObject *free_truths[FREE_TRUTHS + 1];
static int free_truths_count;

static void truth_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(*slot_of(self, compare_at.builder));
    Py_CLEAR(*slot_of(self, compare_at.index));
    if (type == truth_type && free_truths_count < FREE_TRUTHS)
        free_truths[free_truths_count++] = self;
    else
        PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Takes the reference to the place. */
static PyObject *new_truth(PyObject *trace, PyObject *place)
{
    PyObject *truth = NULL;
    if (place && free_truths_count) {
        truth = PyObject_Init(free_truths[--free_truths_count], truth_type);
        PyObject_GC_Track(truth);
    } else if (place) {
        truth = truth_type->tp_alloc(truth_type, 0);
    }
    if (!truth) {
        Py_XDECREF(place);
        return NULL;
    }
    *slot_of(truth, compare_at.builder) = Py_NewRef(trace);
    *slot_of(truth, compare_at.index) = place;
    return truth;
}

static PyObject *write_comparison(PyObject *trace, int op, PyObject *const *operands)
{
    Known *known = known_by(trace);
    Py_ssize_t places[2], at;
    PyObject *made = NULL;
    if (!known || !find_places(trace, known, operands, 2, places))
        return NULL;
    if (all_constant(trace, places, 2))
        made = emit_in_python(trace, other_names[op - RULE_COUNT], places, 2);
    else if ((at = append_brief(known, read_slot(trace, slots_at.code), op, (int32_t)places[0], (int32_t)places[1])) >= 0)
        made = PyLong_FromSsize_t(at);
    return new_truth(trace, made);
}

/* A comparison that begins with a tracer; NOT_MINE if Python code must make it. */
static PyObject *compare_traced(int op, PyObject *const *operands)
{
    PyObject *trace = is_tracer(operands[0]) ? trace_in_force() : NULL, *truth = NOT_MINE;
    if (!trace)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    int mine = is_for(trace, operands[0]) && is_for(trace, operands[1]) ? code_is_plain(trace) : 0;
    if (mine && is_tape_trace(trace))
        truth = mine < 0 ? NULL : tape_operation(trace, RULE_COUNT + op, operands, 2, true);
    else if (mine)
        truth = mine < 0 ? NULL : write_comparison(trace, RULE_COUNT + op, operands);
    Py_DECREF(trace);
    return truth;
}

/* `Traced.__lt__`, `__le__`, `__gt__` and `__ge__`. */
static PyObject *native_compare_traced(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return names || count != 2 ? NOT_MINE : compare_traced(self->rule, args);
}

/* The same as an operator: Python's own way to these methods takes as long as all the rest. */
static richcmpfunc compare_by_methods;

static PyObject *traced_richcompare(PyObject *self, PyObject *other, int op)
{
    static const int CODES[] = {[Py_LT] = LESS, [Py_LE] = LESS_EQUAL, [Py_GT] = GREATER, [Py_GE] = GREATER_EQUAL};
    PyObject *const operands[] = {self, other};
    bool order = op == Py_LT || op == Py_LE || op == Py_GT || op == Py_GE;
    PyObject *truth = order ? compare_traced(CODES[op], operands) : NOT_MINE;
    return truth == NOT_MINE ? compare_by_methods(self, other, op) : truth;
}

/* ---- the numbers of the run ---- */

/* The number of a value if it is known, to C or to Python code: 1; 0 if it is not, -1 after an error. */
static int known_number(PyObject *trace, Known *known, Py_ssize_t place, double *x)
{
    PyObject *numbers = read_slot(trace, compare_at.numbers);
    if (number_computed(known, place, x))
        return 1;
    if (PyDict_GET_SIZE(numbers) == 0)
        return 0;
    PyObject *key = PyLong_FromSsize_t(place), *found = key ? PyDict_GetItemWithError(numbers, key) : NULL;
    Py_XDECREF(key);
    if (!found)
        return PyErr_Occurred() ? -1 : 0;
    if (!PyFloat_CheckExact(found) && !PyBool_Check(found))
        return 0;
    *x = PyFloat_CheckExact(found) ? PyFloat_AS_DOUBLE(found) : found == Py_True;
    return keep_number(known, place, *x) ? 1 : -1;
}

static PyObject *item_of(PyObject *list, PyObject *at)
{
    Py_ssize_t i = PyLong_CheckExact(at) ? PyLong_AsSsize_t(at) : -1;
    return PyList_CheckExact(list) && i >= 0 && i < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, i) : NULL;
}

/* The numbers of an array that is an argument, or a copy of one by which is differentiated; or NULL. */
static PyObject *given_array(PyObject *trace, Py_ssize_t place)
{
    PyObject *code = read_slot(trace, slots_at.code), *array = PyList_GET_ITEM(code, place); /* arrays have objects */
    while (PyTuple_GET_ITEM(array, 0) == row_names[RULE_pos])
        array = PyList_GET_ITEM(code, PyLong_AsSsize_t(PyTuple_GET_ITEM(PyTuple_GET_ITEM(array, 1), 0)));
    if (PyTuple_GET_ITEM(array, 0) != input_name)
        return NULL;
    return item_of(read_slot(trace, compare_at.given), PyTuple_GET_ITEM(array, 2));
}

/* The number of an element of such an array; false for any other. */
static bool given_number(PyObject *trace, Py_ssize_t array, Py_ssize_t number, double *x)
{
    PyObject *given = given_array(trace, array);
    if (!given || !PyList_CheckExact(given) || number < 0 || number >= PyList_GET_SIZE(given)
        || !PyFloat_CheckExact(PyList_GET_ITEM(given, number)))
        return false;
    *x = PyFloat_AS_DOUBLE(PyList_GET_ITEM(given, number));
    return true;
}

/* The same of an instruction that reads it. */
static bool given_element(PyObject *trace, PyObject *operands, PyObject *window, double *x)
{
    int32_t number = PyTuple_GET_SIZE(operands) == 1 ? number_of_element(window) : -1;
    return number >= 0 && given_number(trace, PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, 0)), number, x);
}

static bool is_number(PyObject *object, double *x)
{
    if (!object || (!PyFloat_CheckExact(object) && !PyBool_Check(object)))
        return false;
    *x = PyFloat_CheckExact(object) ? PyFloat_AS_DOUBLE(object) : object == Py_True;
    return true;
}

/* What an operation computes, given the numbers of its operands; false if Python must compute it. */
static bool number_of_code(int code, const double *x, Py_ssize_t count, double *y)
{
    if (code >= 0 && code < RULE_COUNT) {
        if (ROWS[code].may_raise || ROWS[code].arity != count)
            return false;
        *y = value_of(code, x);
        return true;
    }
    switch (code - RULE_COUNT) {
    case LESS: *y = x[0] < x[1]; return true;
    case LESS_EQUAL: *y = x[0] <= x[1]; return true;
    case GREATER: *y = x[0] > x[1]; return true;
    case GREATER_EQUAL: *y = x[0] >= x[1]; return true;
    case EQUAL: *y = x[0] == x[1]; return true;
    case UNEQUAL: *y = x[0] != x[1]; return true;
    case AND: *y = x[0] != 0.0 && x[1] != 0.0; return true;
    case OR: *y = x[0] != 0.0 || x[1] != 0.0; return true;
    case NOT: *y = x[0] == 0.0; return true;
    case SELECT: *y = x[0] != 0.0 ? x[1] : x[2]; return true;
    case STOP: *y = x[0]; return true;
    default: return false;
    }
}

/* The same of an instruction; false also after an error. */
static bool number_made(PyObject *trace, PyObject *instruction, const double *x, Py_ssize_t count, double *y)
{
    PyObject *data = PyTuple_GET_ITEM(instruction, 2);
    PyObject *found = PyDict_GetItemWithError(codes_by_name, PyTuple_GET_ITEM(instruction, 0));
    int code = found ? (int)PyLong_AsLong(found) : -1;
    if (code == RULE_COUNT + CONSTANT)
        return is_number(data, y);
    if (code == RULE_COUNT + INPUT)
        return is_number(item_of(read_slot(trace, compare_at.given), data), y);
    return number_of_code(code, x, count, y);
}

/* Values that are still to be computed, each after those behind it. */
typedef struct {
    Py_ssize_t *items, count, room;
    Py_ssize_t few[32];
} Waiting;

static bool compute_first(Waiting *waiting, Py_ssize_t place)
{
    if (waiting->count == waiting->room) {
        Py_ssize_t *more = PyMem_Malloc(2 * (size_t)waiting->room * sizeof *more);
        if (!more) {
            PyErr_NoMemory();
            return false;
        }
        memcpy(more, waiting->items, (size_t)waiting->count * sizeof *more);
        if (waiting->items != waiting->few)
            PyMem_Free(waiting->items);
        waiting->items = more;
        waiting->room *= 2;
    }
    waiting->items[waiting->count++] = place;
    return true;
}

/* The number of an operand: 1; 0 if it must be computed first, -1 after an error. */
static int take_or_wait(PyObject *trace, Known *known, Py_ssize_t operand, double *x, Waiting *waiting)
{
    int status = known_number(trace, known, operand, x);
    return status ? status : compute_first(waiting, operand) ? 0 : -1;
}

/* `compute` of what is noted in brief. */
static int compute_brief(PyObject *trace, Known *known, Py_ssize_t place, Waiting *waiting)
{
    const Brief brief = known->briefs[place];
    double x[2], y;
    int count = brief.b < 0 ? 1 : 2, ready = 1;
    if (brief.op - 1 == RULE_COUNT + CONSTANT)
        return keep_number(known, place, constant_of(&brief)) ? 1 : -1;
    if (reads_element(&brief))
        return !given_number(trace, brief.a, brief.b, &y) ? 0 : keep_number(known, place, y) ? 1 : -1;
    for (int i = 0; i < count; i++) {
        int status = take_or_wait(trace, known, i ? brief.b : brief.a, &x[i], waiting);
        if (status < 0)
            return -1;
        ready &= status;
    }
    if (!ready)
        return 2;
    if (!number_of_code(brief.op - 1, x, count, &y))
        return PyErr_Occurred() ? -1 : 0;
    return keep_number(known, place, y) ? 1 : -1;
}

/* Compute a value once all that it depends on is known: 1; 2 if it waits for others, 0 if Python must do it, -1 after an
error. */
static int compute(PyObject *trace, Known *known, Py_ssize_t place, Waiting *waiting)
{
    double x[3], y = 0.0;
    if (brief_at(known, place))
        return compute_brief(trace, known, place, waiting);
    PyObject *instruction = PyList_GET_ITEM(read_slot(trace, slots_at.code), place);
    PyObject *operands = PyTuple_GET_ITEM(instruction, 1);
    Py_ssize_t count = PyTuple_GET_SIZE(operands), before = waiting->count;
    bool made = false;
    if (PyTuple_GET_ITEM(instruction, 0) == read_name) {
        made = given_element(trace, operands, PyTuple_GET_ITEM(instruction, 2), &y);
    } else if (count <= 3) {
        for (Py_ssize_t i = 0; i < count; i++) {
            if (take_or_wait(trace, known, PyLong_AsSsize_t(PyTuple_GET_ITEM(operands, i)), &x[i], waiting) < 0)
                return -1;
        }
        if (waiting->count > before)
            return 2;
        made = number_made(trace, instruction, x, count, &y);
    }
    if (!made)
        return PyErr_Occurred() ? -1 : 0;
    return keep_number(known, place, y) ? 1 : -1;
}

/* Compute the numbers of the run in order up to a place: those in brief whose operands are known, and elements of arguments.
Where one comparison follows another, that is all there is to do. False after an error. */
static bool sweep_to(PyObject *trace, Known *known, Py_ssize_t end, Waiting *waiting)
{
    PyObject *code = read_slot(trace, slots_at.code);
    double x[2], y;
    for (; known->swept < end; known->swept++) {
        Py_ssize_t place = known->swept;
        const Brief *brief = brief_at(known, place);
        if (!brief) {
            PyObject *instruction = PyList_GET_ITEM(code, place);
            if (PyTuple_GET_ITEM(instruction, 0) == read_name && compute(trace, known, place, waiting) < 0)
                return false;
            continue;
        }
        int op = brief->op - 1, count = brief->b < 0 ? 1 : 2;
        if (op == RULE_COUNT + CONSTANT)
            y = constant_of(brief);
        else if (reads_element(brief)) {
            if (!given_number(trace, brief->a, brief->b, &y))
                continue;
        } else if (!number_computed(known, brief->a, &x[0]) || (count == 2 && !number_computed(known, brief->b, &x[1]))
                 || !number_of_code(op, x, count, &y))
            continue;
        if (!keep_number(known, place, y))
            return false;
    }
    return !PyErr_Occurred();
}

/* Compute a value and all that it depends on: 1; 0 if Python must do it, -1 after an error. */
static int compute_all(PyObject *trace, Py_ssize_t place, double *x)
{
    Waiting waiting = {.room = 32};
    waiting.items = waiting.few;
    Known *known = known_by(trace);
    if (!known || !sweep_to(trace, known, place + 1, &waiting))
        return -1;
    if (number_computed(known, place, x))
        return 1;
    int status = compute_first(&waiting, place) ? 1 : -1;
    while (status > 0 && waiting.count) {
        Py_ssize_t top = waiting.count - 1;
        status = known_number(trace, known, waiting.items[top], x);
        if (status == 0)
            status = compute(trace, known, waiting.items[top], &waiting);
        if (status == 1)
            waiting.count--;
    }
    if (waiting.items != waiting.few)
        PyMem_Free(waiting.items);
    return status <= 0 ? status : known_number(trace, known, place, x);
}

/* ---- guards ---- */

/* Whether the running code makes the same comparison as for the last guard; steps of a loop do. */
static bool is_last_line(const Known *known)
{
    PyFrameObject *frame = known->line ? PyEval_GetFrame() : NULL;
    if (!frame)
        return false;
    PyCodeObject *code = PyFrame_GetCode(frame);
    Py_DECREF(code);
    return code == known->code && PyFrame_GetLasti(frame) == known->at;
}

/* The line of the comparison that is made now, if the trace has its text already: a borrowed reference, or NULL. */
static PyObject *line_known(PyObject *trace)
{
    Known *known = known_by(trace);
    if (!known || is_last_line(known))
        return known ? known->line : NULL;
    PyFrameObject *frame = calling_frame();
    if (!frame)
        return NULL;
    PyCodeObject *code = PyFrame_GetCode(frame);
    int at = PyFrame_GetLasti(frame);
    PyObject *key = Py_BuildValue("(Ni)", PyLong_FromVoidPtr(code), at), *lines = NULL, *found = NULL;
    Py_DECREF(code);
    Py_DECREF(frame);
    lines = read_slot(trace, compare_at.lines);
    if (key && lines && PyDict_CheckExact(lines))
        found = PyDict_GetItemWithError(lines, key);
    Py_XDECREF(key);
    if (!found || !PyTuple_CheckExact(found) || PyTuple_GET_SIZE(found) != 2)
        return NULL;
    known->code = code;
    known->at = at;
    return known->line = PyTuple_GET_ITEM(found, 1);
}

/* The two operands of a comparison. */
static bool operands_at(PyObject *trace, const Known *known, Py_ssize_t place, Py_ssize_t *operands)
{
    const Brief *brief = brief_at(known, place);
    if (brief) {
        operands[0] = brief->a;
        operands[1] = brief->b;
        return true;
    }
    PyObject *places = PyTuple_GET_ITEM(PyList_GET_ITEM(read_slot(trace, slots_at.code), place), 1);
    for (int i = 0; i < 2; i++)
        operands[i] = PyTuple_GET_SIZE(places) == 2 ? PyLong_AsSsize_t(PyTuple_GET_ITEM(places, i)) : -1;
    return operands[0] >= 0 && operands[1] >= 0;
}

/* What `max` and `min` of plain numbers keep is a selection, as in `Watched.note_guard`. */
static bool note_selection(PyObject *trace, Known *known, Py_ssize_t place)
{
    Py_ssize_t operands[2];
    PyObject *op = maker_of(trace, place);
    if ((op != other_names[LESS] && op != other_names[GREATER]) || !operands_at(trace, known, place, operands)
        || maker_of(trace, operands[0]) != other_names[STOP] || maker_of(trace, operands[1]) != other_names[STOP])
        return !PyErr_Occurred();
    PyObject *made = PyObject_CallMethod(trace, "emit", "s(nnn)", OTHER_NAMES[SELECT], place, operands[0], operands[1]);
    Py_XDECREF(made);
    return made != NULL;
}

static bool note_in_brief(Known *known, Py_ssize_t place, bool outcome, PyObject *line)
{
    if (known->noted_count == known->noted_room) {
        Py_ssize_t room = 2 * known->noted_room + 64;
        Noted *noted = PyMem_Realloc(known->noted, (size_t)room * sizeof *noted);
        if (!noted) {
            PyErr_NoMemory();
            return false;
        }
        known->noted = noted;
        known->noted_room = room;
    }
    known->noted[known->noted_count++] = (Noted){(int32_t)place, outcome, line};
    known->computed[place] |= NOTED_GUARD;
    return true;
}

/* `Watched.note_guard`: the program holds only while this comparison comes out so. */
static PyObject *note_guard(PyObject *trace, Known *known, PyObject *place, PyObject *outcome)
{
    Py_ssize_t at = PyLong_AsSsize_t(place);
    PyObject *line = line_known(trace);
    if (PyErr_Occurred())
        return NULL;
    if (!line) /* Python code makes the text of a line */
        return PyObject_CallMethodObjArgs(trace, note_guard_name, place, outcome, NULL);
    return note_in_brief(known, at, outcome == Py_True, line) && note_selection(trace, known, at) ? Py_NewRef(outcome) : NULL;
}

/* Whether a comparison is a guard already: 1 or 0; -1 after an error. */
static int is_guarded(PyObject *trace, const Known *known, PyObject *place)
{
    PyObject *guarded = read_slot(trace, compare_at.guarded);
    if (known->computed[PyLong_AsSsize_t(place)] & NOTED_GUARD)
        return 1;
    return PySet_GET_SIZE(guarded) == 0 ? 0 : PySet_Contains(guarded, place);
}

/* `Watched.truth`, of the program itself: an outcome that the watched numbers tell, which becomes a guard. */
static PyObject *truth_of_place(PyObject *trace, PyObject *place)
{
    Known *known = known_by(trace);
    Py_ssize_t at = PyLong_AsSsize_t(place);
    if (!known || at < 0 || at >= PyList_GET_SIZE(read_slot(trace, slots_at.code)))
        return known && !PyErr_Occurred() ? NOT_MINE : NULL;
    if (!is_in_use(trace) || read_slot(trace, slots_at.parent) != Py_None
        || read_slot(trace, compare_at.deciding) != Py_None || read_slot(trace, compare_at.taken) != Py_None
        || is_constant_at(trace, at))
        return NOT_MINE;
    double x = 0.0;
    int status = compute_all(trace, at, &x);
    if (status <= 0)
        return status < 0 ? NULL : NOT_MINE;
    PyObject *outcome = x != 0.0 ? Py_True : Py_False;
    int guarded = is_guarded(trace, known, place);
    if (guarded)
        return guarded < 0 ? NULL : Py_NewRef(outcome);
    return note_guard(trace, known, place, outcome);
}

static PyObject *native_truth(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 2 || !trace_type || !Py_IS_TYPE(args[0], trace_type) || !PyLong_CheckExact(args[1]))
        return NOT_MINE;
    return truth_of_place(args[0], args[1]);
}

static PyObject *truth_on_tape(PyObject *trace, PyObject *place); /* see tape.h */

/* `TracedTruth.__bool__`. */
static PyObject *native_bool_of_truth(Native *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (names || count != 1 || !truth_type || !Py_IS_TYPE(args[0], truth_type))
        return NOT_MINE;
    PyObject *trace = read_slot(args[0], compare_at.builder), *place = read_slot(args[0], compare_at.index);
    if (trace && is_tape_trace(trace) && place && PyLong_CheckExact(place) && is_in_use(trace))
        return truth_on_tape(trace, place);
    if (!trace || !Py_IS_TYPE(trace, trace_type) || !place || !PyLong_CheckExact(place))
        return NOT_MINE;
    return truth_of_place(trace, place);
}

static bool find_comparisons(PyTypeObject *truth, PyTypeObject *guard, PyObject *own)
{
    guard_type = guard;
    packages = own;
    const struct {
        PyTypeObject *type;
        const char *name;
        Py_ssize_t *offset;
    } SLOTS[] = {
        {trace_type, "types", &compare_at.types}, {trace_type, "plain", &compare_at.plain},
        {trace_type, "numbers", &compare_at.numbers}, {trace_type, "given", &compare_at.given},
        {trace_type, "guarded", &compare_at.guarded}, {trace_type, "guards", &compare_at.guards},
        {trace_type, "lines", &compare_at.lines}, {trace_type, "deciding", &compare_at.deciding},
        {trace_type, "taken", &compare_at.taken}, {truth, "builder", &compare_at.builder},
        {truth, "index", &compare_at.index},
    };
    for (size_t i = 0; i < sizeof SLOTS / sizeof *SLOTS; i++)
        if (!find_offset(SLOTS[i].type, SLOTS[i].name, SLOTS[i].offset))
            return false;
    if (!(codes_by_name = PyDict_New()))
        return false;
    for (int code = 0; code < RULE_COUNT + OTHERS; code++) {
        int other = code - RULE_COUNT;
        if (other >= 0 && !(other_names[other] = PyUnicode_InternFromString(OTHER_NAMES[other])))
            return false;
        PyObject *number = PyLong_FromLong(code), *name = other < 0 ? row_names[code] : other_names[other];
        int status = number ? PyDict_SetItem(codes_by_name, name, number) : -1;
        Py_XDECREF(number);
        if (status < 0)
            return false;
    }
    truth_type = truth;
    truth->tp_dealloc = truth_dealloc;
    compare_by_methods = TracedType->tp_richcompare;
    TracedType->tp_richcompare = traced_richcompare;
    input_name = other_names[INPUT];
    return (truth_name = PyUnicode_InternFromString("truth"))
           && (note_guard_name = PyUnicode_InternFromString("note_guard"));
}
