/* What a trace has noted in brief becomes objects when Python code reads `code`, `constants`, `guarded`, `guards` or `types`.

Until then the list of the code has None in the place of each instruction. Python code that keeps the list while operations
are captured must read it again: a None is no instruction, so to forget that is an error at once. */

/* Ints of places from some first one on, each made once. */
typedef struct {
    Py_ssize_t first, count;
    PyObject **items;
} Ints;

static PyObject *int_of_place(Ints *ints, Py_ssize_t place)
{
    if (place < ints->first || place >= ints->first + ints->count)
        return PyLong_FromSsize_t(place);
    PyObject **item = &ints->items[place - ints->first];
    if (!*item)
        *item = PyLong_FromSsize_t(place);
    return Py_XNewRef(*item);
}

static PyObject *operands_of(const Brief *brief, Ints *ints)
{
    int count = brief->b < 0 || reads_element(brief) ? 1 : 2;
    PyObject *operands = new_places(count), *place = NULL;
    for (int i = 0; operands && i < count; i++) {
        if ((place = int_of_place(ints, i ? brief->b : brief->a)))
            PyTuple_SET_ITEM(operands, i, place);
        else
            Py_CLEAR(operands);
    }
    return operands;
}

static PyObject *window_of(const Brief *brief)
{
    PyObject *number = PyLong_FromLong(brief->b);
    PyObject *const fields[] = {nothing, number, nothing, nothing};
    PyObject *window = number ? new_named(window_type, 4, fields) : NULL;
    Py_XDECREF(number);
    return window;
}

/* The instruction that is noted at a place. */
static PyObject *instruction_at(const Known *known, Py_ssize_t place, Ints *ints)
{
    const Brief brief = known->briefs[place];
    bool constant = brief.op - 1 == RULE_COUNT + CONSTANT;
    PyObject *operands = constant ? Py_NewRef(nothing) : operands_of(&brief, ints), *made = NULL;
    PyObject *data = constant                 ? PyFloat_FromDouble(constant_of(&brief))
                     : reads_element(&brief) ? window_of(&brief)
                                             : Py_NewRef(Py_None);
    if (operands && data)
        made = new_instruction(name_of(brief.op - 1), operands, data);
    Py_XDECREF(operands);
    Py_XDECREF(data);
    return made;
}

/* What follows of an instruction elsewhere: where a constant is, or that a value is a truth. */
static bool settle_elsewhere(PyObject *trace, int op, PyObject *made, Py_ssize_t place, Ints *ints)
{
    if (op != CONSTANT && (op < LESS || op > UNEQUAL))
        return true;
    PyObject *key = int_of_place(ints, place);
    int status = !key               ? -1
                 : op == CONSTANT ? PyDict_SetItem(read_slot(trace, slots_at.constants), PyTuple_GET_ITEM(made, 2), key)
                                  : PyDict_SetItem(read_slot(trace, compare_at.types), key, truth_name);
    Py_XDECREF(key);
    return status == 0;
}

/* Put the instruction of a place into the code, after what follows of it: without memory, nothing is half done. */
static bool settle_at(PyObject *trace, Known *known, Py_ssize_t place, Ints *ints)
{
    PyObject *made = instruction_at(known, place, ints);
    int op = known->briefs[place].op - 1 - RULE_COUNT;
    if (!made || !settle_elsewhere(trace, op, made, place, ints)) {
        Py_XDECREF(made);
        return false;
    }
    PyObject **at = &((PyListObject *)read_slot(trace, slots_at.code))->ob_item[place];
    if (*at != Py_None) { /* a collection ran code that asked for it meanwhile */
        Py_DECREF(made);
        return true;
    }
    Py_SETREF(*at, made);
    known->pending--;
    known->placed += op == CONSTANT;
    return true;
}

static bool settle_code(PyObject *trace, Known *known)
{
    PyObject *code = read_slot(trace, slots_at.code);
    Ints ints = {.first = known->first, .count = known->pending ? PyList_GET_SIZE(code) - known->first : 0};
    bool fine = true;
    if (ints.count && !(ints.items = PyMem_Calloc((size_t)ints.count, sizeof *ints.items))) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t place = known->first; known->pending; known->first = ++place) {
        fine = PyList_GET_ITEM(code, place) != Py_None || settle_at(trace, known, place, &ints);
        if (!fine)
            break;
    }
    for (Py_ssize_t i = 0; i < ints.count; i++)
        Py_XDECREF(ints.items[i]);
    PyMem_Free(ints.items);
    return fine;
}

static bool settle_guards(PyObject *trace, Known *known)
{
    PyObject *guards = read_slot(trace, compare_at.guards), *guarded = read_slot(trace, compare_at.guarded);
    Py_ssize_t count = known->noted_count, done = 0;
    Noted *noted = known->noted;
    known->noted = NULL;
    known->noted_count = known->noted_room = 0;
    for (bool fine = true; fine && done < count; done += fine) {
        PyObject *place = PyLong_FromSsize_t(noted[done].place);
        PyObject *const fields[] = {place, noted[done].outcome ? Py_True : Py_False, noted[done].line};
        PyObject *guard = place ? new_named(guard_type, 3, fields) : NULL;
        fine = guard && PySet_Add(guarded, place) == 0 && PyList_Append(guards, guard) == 0;
        if (fine)
            known->computed[noted[done].place] &= (uint8_t)~NOTED_GUARD;
        Py_XDECREF(place);
        Py_XDECREF(guard);
    }
    if (done < count && !known->noted) { /* no memory: the others are still noted */
        memmove(noted, noted + done, (size_t)(count - done) * sizeof *noted);
        known->noted = noted;
        known->noted_count = known->noted_room = count - done;
        return false;
    }
    PyMem_Free(noted);
    return done == count;
}

/* Make the objects of all that is noted. */
static bool settle(PyObject *trace)
{
    Known *known = (Known *)read_slot(trace, slots_at.known);
    if (!known || !Py_IS_TYPE(known, KnownType))
        return true;
    return settle_code(trace, known) && settle_guards(trace, known);
}

static PyObject *read_settled(PyObject *trace, void *offset)
{
    if (!settle(trace))
        return NULL;
    PyObject *found = read_slot(trace, *(Py_ssize_t *)offset);
    if (!found)
        PyErr_SetString(PyExc_AttributeError, "a trace has no such attribute yet");
    return Py_XNewRef(found);
}

static int write_settled(PyObject *trace, PyObject *thing, void *offset)
{
    if (!settle(trace))
        return -1;
    Py_XSETREF(*slot_of(trace, *(Py_ssize_t *)offset), Py_XNewRef(thing));
    return 0;
}

static PyGetSetDef SETTLED[] = {
    {"code", read_settled, write_settled, "The instructions.", &slots_at.code},
    {"constants", read_settled, write_settled, "Where the constants are.", &slots_at.constants},
    {"guarded", read_settled, write_settled, "The comparisons that are guards.", &compare_at.guarded},
    {"guards", read_settled, write_settled, "The guards.", &compare_at.guards},
    {"types", read_settled, write_settled, "The types of values that are no numbers.", &compare_at.types},
};

/* Let a trace settle when one of its slots is read that have such objects. */
static bool settle_when_read(void)
{
    for (size_t i = 0; i < sizeof SETTLED / sizeof *SETTLED; i++) {
        PyObject *attribute = PyDescr_NewGetSet(trace_type, &SETTLED[i]);
        int status = attribute ? PyObject_SetAttrString((PyObject *)trace_type, SETTLED[i].name, attribute) : -1;
        Py_XDECREF(attribute);
        if (status < 0)
            return false;
    }
    return true;
}
