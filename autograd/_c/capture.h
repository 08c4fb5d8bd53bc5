/* An operation during a capture: the common case of `Traced.apply_rule` in compiler/capture/tracer.py.

The operands are tracers, Values and plain numbers. An instruction is appended to the program, or found there, as
`Builder.emit` does it. What the program does not hold yet is placed by Python code, which also writes each instruction
that `fold_constants` or an identity of ir/rewriters.py might replace. So the program is the same as without this. */

#define FEWEST_ELEMENTS 64 /* as in ir/elements.py */
static char not_mine;
#define NOT_MINE ((PyObject *)&not_mine)

/* See `value_trace`. */
static bool is_set_up; /* from then on operations are captured here */
static PyTypeObject *trace_type, *loop_type, *mode_type, *instruction_type, *window_type;
static PyObject *row_names[RULE_COUNT], *constant_name, *pack_name, *table_name, *read_name, *place_name, *emit_name;
static PyObject *custom_name;
static PyObject *nothing;

static struct {
    Py_ssize_t recorder, recording;                                               /* of a Mode */
    Py_ssize_t code, known, constants, leaves, parent, body_of, thread, finished; /* of a Trace */
    Py_ssize_t shared;                                                            /* of a LoopBuilder */
} slots_at;

static inline PyObject **slot_of(PyObject *object, Py_ssize_t offset) { return (PyObject **)((char *)object + offset); }
static inline PyObject *read_slot(PyObject *object, Py_ssize_t offset) { return *slot_of(object, offset); }

/* The number of a row of the table; -1 for any other rule. */
static int code_of(PyObject *rule)
{
    PyObject *code = PyDict_GetItemWithError(rule_codes, rule);
    if (!code)
        PyErr_Clear();
    return code ? (int)PyLong_AsLong(code) : -1;
}

/* See tape.h. */
static PyTypeObject *tape_trace_type;
static inline bool is_tape_trace(PyObject *trace) { return tape_trace_type && Py_IS_TYPE(trace, tape_trace_type); }
static PyObject *tape_operation(PyObject *trace, int op, PyObject *const *operands, Py_ssize_t count, bool truth);

/* ---- whose operation it is ---- */

/* Whether the function that is captured still runs, and in this thread. */
static bool is_in_use(PyObject *trace)
{
    PyObject *thread = read_slot(trace, slots_at.thread);
    return read_slot(trace, slots_at.finished) == Py_False && thread && PyLong_CheckExact(thread)
           && PyLong_AsUnsignedLongMask(thread) == PyThread_get_thread_ident();
}

/* The trace that records in this context, or NULL if there is none or Python code must deal with it. */
static PyObject *trace_in_force(void)
{
    PyObject *mode, *trace = NULL;
    if (!is_set_up || PyContextVar_Get(mode_variable, NULL, &mode) < 0)
        return NULL;
    if (Py_IS_TYPE(mode, mode_type) && read_slot(mode, slots_at.recording) == Py_True)
        trace = read_slot(mode, slots_at.recorder);
    trace = trace && (Py_IS_TYPE(trace, trace_type) || is_tape_trace(trace)) && is_in_use(trace) ? Py_NewRef(trace) : NULL;
    Py_DECREF(mode);
    return trace;
}

/* Whether an operand is a number, a Value, or a tracer of this trace or of the one around it. */
static bool is_for(PyObject *trace, PyObject *operand)
{
    double number;
    if (!is_tracer(operand))
        return take(operand, &number) != OTHER;
    PyObject *builder = builder_of(operand);
    return builder == trace || (builder && builder == read_slot(trace, slots_at.parent));
}

/* ---- writing it down ---- */

/* A tuple of numbers: the collector need not visit it. */
static PyObject *new_places(Py_ssize_t count)
{
    PyObject *places = PyTuple_New(count);
    if (places)
        PyObject_GC_UnTrack(places);
    return places;
}

/* An instance of a NamedTuple as `tuple.__new__` makes it. It refers to text and numbers, so the collector need not visit
it. */
static PyObject *new_named(PyTypeObject *type, Py_ssize_t count, PyObject *const *fields)
{
    PyObject *named = (PyObject *)PyObject_GC_NewVar(PyTupleObject, type, count);
    if (!named)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(named, i, Py_NewRef(fields[i]));
#if PY_VERSION_HEX >= 0x030E0000
    ((PyTupleObject *)named)->ob_hash = -1; /* not computed yet */
#endif
    return named;
}

static PyObject *new_instruction(PyObject *op, PyObject *operands, PyObject *data)
{
    PyObject *const fields[] = {op, operands, data};
    return new_named(instruction_type, 3, fields);
}

/* The object in which a trace keeps what it knows. */
static Known *known_by(PyObject *trace)
{
    PyObject *known = read_slot(trace, slots_at.known);
    if (known && Py_IS_TYPE(known, KnownType))
        return (Known *)known;
    PyErr_SetString(PyExc_TypeError, "a trace of the C build keeps what it knows in a Known");
    return NULL;
}

/* The place of an instruction with data, or with many operands, to which no rewriter but `number_values` answers: a known
one, or a new one at the end. Takes the reference to the instruction, which may be NULL after an error. */
static PyObject *append(PyObject *trace, PyObject *instruction)
{
    PyObject *code = read_slot(trace, slots_at.code);
    Known *known = instruction ? known_by(trace) : NULL;
    PyObject *at = known ? PyLong_FromSsize_t(PyList_GET_SIZE(code)) : NULL, *found = NULL;
    if (at) { /* no Python code can run from here on, so the place is right */
        found = Py_XNewRef(PyDict_SetDefault(known->others, instruction, at));
        if (found == at && PyList_Append(code, instruction) < 0) {
            PyDict_DelItem(known->others, instruction);
            Py_CLEAR(found);
        }
    }
    Py_XDECREF(at);
    Py_XDECREF(instruction);
    return found;
}

/* ---- where the operands are ---- */

static inline bool is_place(PyObject *number) { return number && PyLong_AsSsize_t(number) >= 0; }

static PyObject *name_of(int code) { return code < RULE_COUNT ? row_names[code] : other_names[code - RULE_COUNT]; }

/* What made a value. */
static PyObject *maker_of(PyObject *trace, Py_ssize_t place)
{
    const Brief *brief = brief_at((const Known *)read_slot(trace, slots_at.known), place);
    if (brief)
        return name_of(brief->op - 1);
    return PyTuple_GET_ITEM(PyList_GET_ITEM(read_slot(trace, slots_at.code), place), 0);
}

static bool is_constant_at(PyObject *trace, Py_ssize_t place)
{
    if (brief_at((const Known *)read_slot(trace, slots_at.known), place))
        return maker_of(trace, place) == constant_name;
    return PyUnicode_Compare(maker_of(trace, place), constant_name) == 0;
}

/* `Builder.element`, but for the elements that `known_elements` finds elsewhere: NULL. */
static PyObject *read_element(PyObject *trace, PyObject *array, Py_ssize_t offset)
{
    Py_ssize_t from = PyLong_AsSsize_t(array);
    PyObject *op = maker_of(trace, from);
    Known *known = known_by(trace);
    if (!known || op == pack_name || op == table_name || !is_small(from) || !is_small(offset))
        return NULL;
    PyObject *code = read_slot(trace, slots_at.code);
    Py_ssize_t at = append_brief(known, code, RULE_COUNT + READ, (int32_t)from, (int32_t)offset);
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

/* The place of a tracer, of this trace or of the one around it; NULL if Python code must find it. */
static PyObject *place_of_tracer(PyObject *trace, PyObject *operand)
{
    PyObject *known = int_of(operand), *loop = read_slot(trace, slots_at.body_of), *place = NULL;
    bool element = is_element(operand), mine = builder_of(operand) == trace;
    if (PyErr_Occurred() || (mine && (known || !element)))
        return Py_XNewRef(known);
    PyObject *outside = element ? PyLong_FromSsize_t(tracer_of(operand)->array) : Py_XNewRef(known), *array = NULL;
    if (mine)
        array = Py_XNewRef(outside);
    else if (outside && loop && Py_IS_TYPE(loop, loop_type))
        array = Py_XNewRef(PyDict_GetItemWithError(read_slot(loop, slots_at.shared), outside));
    place = array && element ? read_element(trace, array, tracer_of(operand)->offset) : Py_XNewRef(array);
    if (mine && place)
        keep_place(operand, place);
    Py_XDECREF(array);
    Py_XDECREF(outside);
    return place;
}

/* Let entries tell where the constants are that Python code has placed. */
static bool know_constants(PyObject *trace, Known *known)
{
    PyObject *constants = read_slot(trace, slots_at.constants), *number, *place;
    Py_ssize_t position = 0;
    if (PyDict_GET_SIZE(constants) == known->placed)
        return true;
    while (PyDict_Next(constants, &position, &number, &place)) {
        int32_t halves[2];
        Py_ssize_t at = PyLong_AsSsize_t(place);
        if (!PyFloat_Check(number) || !is_small(at)) /* a text is the key of a number that is left to Python code */
            continue;
        halves_of(PyFloat_AS_DOUBLE(number), halves);
        if (place_among(known, RULE_COUNT + CONSTANT, halves[0], halves[1], at) < 0)
            return false;
    }
    known->placed = PyDict_GET_SIZE(constants);
    return true;
}

/* Whether the key of a constant is the number, not text. */
static inline bool is_key(double x) { return x == x && x != 0.0; }

/* `Builder.constant` of such a number; -1 after an error. */
static Py_ssize_t place_of_constant(PyObject *trace, Known *known, double x)
{
    int32_t halves[2];
    halves_of(x, halves);
    if (!know_constants(trace, known))
        return -1;
    return append_brief(known, read_slot(trace, slots_at.code), RULE_COUNT + CONSTANT, halves[0], halves[1]);
}

/* The place of an operand if the program holds it, or an element that is read now; NULL if Python code must find it. */
static PyObject *place_in_program(PyObject *trace, PyObject *operand)
{
    double x;
    if (is_tracer(operand))
        return place_of_tracer(trace, operand);
    if (Py_IS_TYPE(operand, ValueType))
        return Py_XNewRef(PyDict_GetItemWithError(read_slot(trace, slots_at.leaves), operand));
    if (take(operand, &x) != 0 || !is_key(x))
        return NULL;
    Known *known = known_by(trace);
    Py_ssize_t at = known ? place_of_constant(trace, known, x) : -1;
    return at < 0 ? NULL : PyLong_FromSsize_t(at);
}

/* The same as a number, for any operand; -1 after an error. */
static Py_ssize_t place_at(PyObject *trace, Known *known, PyObject *operand)
{
    double x;
    if (is_tracer(operand) && builder_of(operand) == trace && index_of(operand) >= 0)
        return index_of(operand);
    if (!is_tracer(operand) && take(operand, &x) == 0 && is_key(x))
        return place_of_constant(trace, known, x);
    PyObject *place = place_in_program(trace, operand);
    if (!place && !PyErr_Occurred())
        place = PyObject_CallMethodOneArg(trace, place_name, operand);
    Py_ssize_t found = place ? PyLong_AsSsize_t(place) : -1;
    Py_XDECREF(place);
    if (found >= 0 && found < PyList_GET_SIZE(read_slot(trace, slots_at.code)))
        return found;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_IndexError, "a place outside the program");
    return -1;
}

static bool find_places(PyObject *trace, Known *known, PyObject *const *operands, Py_ssize_t count, Py_ssize_t *places)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if ((places[i] = place_at(trace, known, operands[i])) < 0)
            return false;
    return true;
}

static PyObject *tuple_of_places(const Py_ssize_t *places, Py_ssize_t count)
{
    PyObject *tuple = new_places(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *place = PyLong_FromSsize_t(places[i]);
        if (place)
            PyTuple_SET_ITEM(tuple, i, place);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* `Trace.emit`. */
static PyObject *emit_in_python(PyObject *trace, PyObject *name, const Py_ssize_t *places, Py_ssize_t count)
{
    PyObject *operands = tuple_of_places(places, count);
    PyObject *made = operands ? PyObject_CallMethodObjArgs(trace, emit_name, name, operands, NULL) : NULL;
    Py_XDECREF(operands);
    return made;
}

/* The places of all operands, in order; those that the program does not hold yet are given one by `Trace.place`. */
static PyObject *places_in_program(PyObject *trace, PyObject *const *operands, Py_ssize_t count)
{
    PyObject *places = new_places(count);
    if (!places)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *place = place_in_program(trace, operands[i]);
        if (!place && !PyErr_Occurred())
            place = PyObject_CallMethodOneArg(trace, place_name, operands[i]);
        if (!place) {
            Py_DECREF(places);
            return NULL;
        }
        PyTuple_SET_ITEM(places, i, place);
    }
    return places;
}

/* ---- whether Python code may write another instruction ---- */

/* The number of a constant; NaN for any other value. */
static double number_of(PyObject *trace, Py_ssize_t place)
{
    const Brief *brief = brief_at((const Known *)read_slot(trace, slots_at.known), place);
    if (brief)
        return brief->op - 1 == RULE_COUNT + CONSTANT ? constant_of(brief) : NAN;
    PyObject *instruction = PyList_GET_ITEM(read_slot(trace, slots_at.code), place);
    return PyTuple_GET_ITEM(instruction, 0) == constant_name ? PyFloat_AsDouble(PyTuple_GET_ITEM(instruction, 2)) : NAN;
}

static bool all_constant(PyObject *trace, const Py_ssize_t *places, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        if (maker_of(trace, places[i]) != constant_name)
            return false;
    return true;
}

/* Whether a rewriter might answer to an instruction: `fold_constants`, or an identity of its operation. */
static bool may_be_rewritten(PyObject *trace, int rule, const Py_ssize_t *places, Py_ssize_t count)
{
    if (all_constant(trace, places, count) || rule == RULE_pos) /* each `pos` is a value of its own */
        return true;
    Py_ssize_t first = places[0], last = places[count - 1];
    PyObject *neg = row_names[RULE_neg];
    switch (rule) {
    case RULE_add:
        return maker_of(trace, first) == neg || maker_of(trace, last) == neg || number_of(trace, first) == 0.0
               || number_of(trace, last) == 0.0;
    case RULE_sub: return maker_of(trace, last) == neg || number_of(trace, last) == 0.0;
    case RULE_mul:
        return (maker_of(trace, first) == neg && maker_of(trace, last) == neg) || fabs(number_of(trace, first)) == 1.0
               || fabs(number_of(trace, last)) == 1.0;
    case RULE_div: return fabs(frexp(number_of(trace, last), &(int){0})) == 0.5; /* a power of two */
    case RULE_neg: return maker_of(trace, first) == neg;
    case RULE_abs: return maker_of(trace, first) == row_names[RULE_abs] || maker_of(trace, first) == neg;
    default: return false;
    }
}

/* ---- the result ---- */

/* The place of an operation on places, as an int. */
static PyObject *append_in_full(PyObject *trace, int rule, const Py_ssize_t *places, Py_ssize_t count)
{
    PyObject *operands = tuple_of_places(places, count), *made = NULL;
    if (operands && rule == RULE_fsum) /* without an instruction of its own: compiled code calls Python */
        made = append(trace, new_instruction(custom_name, operands, rules[rule]));
    else if (operands)
        made = append(trace, new_instruction(row_names[rule], operands, Py_None));
    Py_XDECREF(operands);
    return made;
}

/* The tracer of an operation on fewer than FEWEST_ELEMENTS operands. */
static PyObject *write_down(PyObject *trace, int rule, PyObject *const *operands, Py_ssize_t count)
{
    Known *known = known_by(trace);
    Py_ssize_t places[FEWEST_ELEMENTS];
    if (!known || !find_places(trace, known, operands, count, places))
        return NULL;
    bool rewritten = rule != RULE_fsum && may_be_rewritten(trace, rule, places, count);
    if (!rewritten && rule != RULE_fsum && count <= 2) {
        int32_t a = (int32_t)places[0], b = count == 2 ? (int32_t)places[1] : -1;
        Py_ssize_t at = append_brief(known, read_slot(trace, slots_at.code), rule, a, b);
        return at < 0 ? NULL : new_tracer(trace, NULL, A_VALUE, at);
    }
    PyObject *made = rewritten ? emit_in_python(trace, row_names[rule], places, count)
                               : append_in_full(trace, rule, places, count);
    PyObject *traced = made ? new_tracer(trace, made, NO_ARRAY, 0) : NULL;
    Py_XDECREF(made);
    return traced;
}

/* The same, with the operands kept: Python code may run meanwhile, and change the list that holds them. */
static PyObject *keep_and_write_down(PyObject *trace, int rule, PyObject *const *operands, Py_ssize_t count)
{
    PyObject *few[SMALL], **kept = count <= SMALL ? few : PyMem_Malloc((size_t)count * sizeof(PyObject *));
    if (!kept)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++)
        kept[i] = Py_NewRef(operands[i]);
    PyObject *traced = write_down(trace, rule, kept, count);
    for (Py_ssize_t i = 0; i < count; i++)
        Py_DECREF(kept[i]);
    if (kept != few)
        PyMem_Free(kept);
    return traced;
}

/* A row of the table on operands of any kind: the tracer of the result; NOT_MINE if Python code must capture it, or
if nothing is captured in this context. */
static PyObject *capture_row(int rule, PyObject *const *operands, Py_ssize_t count)
{
    PyObject *trace = rule == RULE_take ? NULL : trace_in_force(), *traced = NOT_MINE; /* `take` is several instructions */
    if (!trace)
        return PyErr_Occurred() ? NULL : NOT_MINE;
    if (is_tape_trace(trace)) {
        traced = tape_operation(trace, rule, operands, count, false);
        Py_DECREF(trace);
        return traced;
    }
    Py_ssize_t i = 0;
    while (i < count && is_for(trace, operands[i]))
        i++;
    bool many = ROWS[rule].arity < 0 && count >= FEWEST_ELEMENTS; /* perhaps the elements of an array */
    if (!many && count && count < FEWEST_ELEMENTS && i == count && (ROWS[rule].arity < 0 || ROWS[rule].arity == count))
        traced = keep_and_write_down(trace, rule, operands, count);
    Py_DECREF(trace);
    return traced;
}

/* ---- what trace.py gives ---- */

static bool find_offset(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *slot = PyObject_GetAttrString((PyObject *)type, name);
    bool found = slot && Py_IS_TYPE(slot, &PyMemberDescr_Type);
    if (found)
        *offset = ((PyMemberDescrObject *)slot)->d_member->offset;
    else if (slot)
        PyErr_Format(PyExc_TypeError, "%s.%s must be a slot", type->tp_name, name);
    Py_XDECREF(slot);
    return found;
}

static bool find_offsets(void)
{
    const struct {
        PyTypeObject *type;
        const char *name;
        Py_ssize_t *offset;
    } SLOTS[] = {
        {mode_type, "recorder", &slots_at.recorder}, {mode_type, "recording", &slots_at.recording},
        {trace_type, "code", &slots_at.code}, {trace_type, "known", &slots_at.known},
        {trace_type, "constants", &slots_at.constants}, {trace_type, "leaves", &slots_at.leaves},
        {trace_type, "parent", &slots_at.parent}, {trace_type, "body_of", &slots_at.body_of},
        {trace_type, "thread", &slots_at.thread}, {trace_type, "finished", &slots_at.finished},
        {loop_type, "known", &slots_at.shared},
    };
    for (size_t i = 0; i < sizeof SLOTS / sizeof *SLOTS; i++)
        if (!find_offset(SLOTS[i].type, SLOTS[i].name, SLOTS[i].offset))
            return false;
    return true;
}

static bool make_names(void)
{
    return (constant_name = PyUnicode_InternFromString("constant")) && (pack_name = PyUnicode_InternFromString("pack"))
           && (table_name = PyUnicode_InternFromString("table")) && (read_name = PyUnicode_InternFromString("read"))
           && (place_name = PyUnicode_InternFromString("place")) && (emit_name = PyUnicode_InternFromString("emit"))
           && (custom_name = PyUnicode_InternFromString("custom"))
           && (nothing = PyTuple_New(0));
}

static bool find_comparisons(PyTypeObject *truth, PyTypeObject *guard, PyObject *own);
static bool find_flow(void);
static bool settle_when_read(void);

/* trace(Trace, LoopBuilder, Mode, Instruction, Window, TracedTruth, Guard, PACKAGES): trace.py calls it once. */
static PyObject *value_trace(PyObject *module, PyObject *args)
{
    PyTypeObject *truth, *guard;
    PyObject *own;
    if (is_set_up)
        return PyErr_Format(PyExc_RuntimeError, "the C build knows the trace already");
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!O!O!O!", &PyType_Type, &trace_type, &PyType_Type, &loop_type, &PyType_Type,
                          &mode_type, &PyType_Type, &instruction_type, &PyType_Type, &window_type, &PyType_Type, &truth,
                          &PyType_Type, &guard, &PyTuple_Type, &own))
        return NULL;
    if (!find_offsets() || !make_names() || !find_comparisons(truth, guard, own) || !find_flow()
        || !settle_when_read())
        return NULL;
    Py_INCREF(args); /* it keeps the classes */
    is_set_up = true;
    Py_RETURN_NONE;
}
