/* Whether what a function read outside its arguments is still the same; watch.py defines it.

Nothing here runs Python code, except a dict of names that has a key with its own `__eq__`. */

typedef enum { ITEM, ATTRIBUTE, ATTRIBUTES, SLOT, CLASS, CELL, CONTEXT, TYPE, FUNCTION, ITEMS, PAIRS, SET, ELEMENTS, PLACES } Where;
static const char *const PLACE_NAMES[] = {"item", "attribute", "attributes", "slot", "class", "cell", "context",
                                          "type", "function", "list", "dict", "set", "array"};

typedef struct {
    Where kind;
    PyObject *where, *key;
    PyObject *found; /* a tuple */
} Place;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    Place *places;
} Watch;

static PyTypeObject *WatchType;

/* Whether two objects are identical, or equal floats (bit for bit), ints or texts. */
static inline bool same_object(PyObject *one, PyObject *other)
{
    if (one == other)
        return true;
    if (!Py_IS_TYPE(one, Py_TYPE(other)))
        return false;
    if (PyFloat_CheckExact(one)) {
        double x = PyFloat_AS_DOUBLE(one), y = PyFloat_AS_DOUBLE(other);
        return memcmp(&x, &y, sizeof x) == 0;
    }
    if (PyUnicode_CheckExact(one))
        return PyUnicode_Compare(one, other) == 0;
    return PyLong_CheckExact(one) && PyObject_RichCompareBool(one, other, Py_EQ) == 1;
}

static inline bool same_objects(PyObject *const *live, PyObject *found, Py_ssize_t count)
{
    if (PyTuple_GET_SIZE(found) != count)
        return false;
    PyObject *const *items = ((PyTupleObject *)found)->ob_item;
    if (count == 0 || memcmp(live, items, (size_t)count * sizeof *live) == 0) /* an empty list has no array */
        return true;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!same_object(live[i], items[i]))
            return false;
    return true;
}

/* Whether what is in a place now (NULL: nothing) is what was found. */
static inline bool same_as_found(PyObject *live, PyObject *found)
{
    return live ? same_objects(&live, found, 1) : PyTuple_GET_SIZE(found) == 0;
}

static bool same_pairs(PyObject *dict, PyObject *found)
{
    Py_ssize_t position = 0, i = 0;
    PyObject *pair[2];
    if (2 * PyDict_GET_SIZE(dict) != PyTuple_GET_SIZE(found))
        return false;
    PyObject *const *items = ((PyTupleObject *)found)->ob_item;
    for (; PyDict_Next(dict, &position, &pair[0], &pair[1]); i += 2)
        if ((pair[0] != items[i] && !same_object(pair[0], items[i]))
            || (pair[1] != items[i + 1] && !same_object(pair[1], items[i + 1])))
            return false;
    return true;
}

static int same_set(PyObject *set, PyObject *found)
{
    if (PySet_GET_SIZE(set) != PyTuple_GET_SIZE(found))
        return 0;
    PyObject *iterator = PyObject_GetIter(set), *item;
    bool same = true;
    for (Py_ssize_t i = 0; iterator && same && (item = PyIter_Next(iterator)); i++) {
        same = same_object(item, PyTuple_GET_ITEM(found, i));
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : same;
}

/* Whether the elements of an array equal those of a copy, which is contiguous, the last axis fastest. */
static bool same_strided(const char **copy, const char *from, size_t size, int ndim, const Py_ssize_t *sides,
                         const Py_ssize_t *strides)
{
    size_t bytes = size;
    if (ndim == 1 && *strides == (Py_ssize_t)size)
        bytes *= (size_t)*sides;
    if (bytes != size || ndim == 0) {
        *copy += bytes;
        return memcmp(*copy - bytes, from, bytes) == 0;
    }
    for (Py_ssize_t i = 0; i < *sides; i++)
        if (!same_strided(copy, from + i * *strides, size, ndim - 1, sides + 1, strides + 1))
            return false;
    return true;
}

/* found: a copy, or a view of memory that never changes; the size of an element and its type. */
static bool same_elements(const Array *array, PyObject *found)
{
    const Array *copy = (Array *)PyTuple_GET_ITEM(found, 0);
    if ((PyObject *)array->element != PyTuple_GET_ITEM(found, 2) || array->ndim != copy->ndim
        || !same_shape(array->shape, copy->shape, array->ndim))
        return false;
    size_t size = PyLong_AsSize_t(PyTuple_GET_ITEM(found, 1));
    const char *numbers = copy->data;
    if (array->data == numbers && array->flags & CONTIGUOUS)
        return true;
    if (!(array->flags & CONTIGUOUS))
        return same_strided(&numbers, array->data, size, array->ndim, array->shape, array->strides);
    for (int i = 0; i < array->ndim; i++)
        size *= (size_t)array->shape[i];
    return memcmp(array->data, numbers, size) == 0;
}

static int same_item(PyObject *dict, PyObject *key, PyObject *found)
{
    PyObject *live = PyDict_GetItemWithError(dict, key);
    return !live && PyErr_Occurred() ? -1 : same_as_found(live, found);
}

static int same_in_dict_of(const Place *place)
{
    PyObject *dict = PyObject_GenericGetDict(place->where, NULL);
    if (!dict)
        return -1;
    int same = place->kind == ATTRIBUTE ? same_item(dict, place->key, place->found) : same_pairs(dict, place->found);
    Py_DECREF(dict);
    return same;
}

static int same_slot(const Place *place)
{
    PyObject *live = Py_TYPE(place->key)->tp_descr_get(place->key, place->where, (PyObject *)Py_TYPE(place->where));
    if (!live && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    bool same = same_as_found(live, place->found);
    Py_XDECREF(live);
    return same;
}

static int same_in_context(const Place *place)
{
    PyObject *live;
    if (PyContextVar_Get(place->where, NULL, &live) < 0)
        return -1;
    bool same = same_as_found(live, place->found);
    Py_XDECREF(live);
    return same;
}

static bool same_function(PyObject *function, PyObject *found)
{
    PyObject *live[] = {PyFunction_GET_CODE(function), PyFunction_GET_DEFAULTS(function),
                        PyFunction_GET_KW_DEFAULTS(function)};
    for (int i = 1; i < 3; i++)
        live[i] = live[i] ? live[i] : Py_None;
    return same_objects(live, found, 3);
}

/* 1, 0, or -1 with an exception. */
static int place_holds(const Place *place)
{
    switch (place->kind) {
    case ITEM:
        return same_item(place->where, place->key, place->found);
    case ATTRIBUTE:
    case ATTRIBUTES:
        return same_in_dict_of(place);
    case SLOT:
        return same_slot(place);
    case CLASS:
        return same_as_found(_PyType_Lookup((PyTypeObject *)place->where, place->key), place->found);
    case CELL:
        return same_as_found(PyCell_GET(place->where), place->found);
    case CONTEXT:
        return same_in_context(place);
    case TYPE:
        return same_as_found((PyObject *)Py_TYPE(place->where), place->found);
    case FUNCTION:
        return same_function(place->where, place->found);
    case ITEMS:
        return same_objects(((PyListObject *)place->where)->ob_item, place->found, PyList_GET_SIZE(place->where));
    case PAIRS:
        return same_pairs(place->where, place->found);
    case SET:
        return same_set(place->where, place->found);
    default:
        return same_elements((Array *)place->where, place->found);
    }
}

static int watch_holds(const Watch *watch)
{
    for (Py_ssize_t i = 0; i < watch->count; i++) {
        int holds = place_holds(&watch->places[i]);
        if (holds != 1)
            return holds;
    }
    return 1;
}

/* ---- the type Watch ---- */

/* Whether the object has the type that its kind requires. */
static bool fits(const Place *place)
{
    static const Py_ssize_t COUNTS[] = {1, 1, -1, 1, 1, 1, 1, 1, 3, -1, -1, -1, 3}; /* the most that is found; -1: any number */
    PyObject *where = place->where;
    Py_ssize_t most = COUNTS[place->kind], count = PyTuple_GET_SIZE(place->found);
    bool named = PyUnicode_CheckExact(place->key);
    if (most >= 0 && count > most)
        return false;
    switch (place->kind) {
    case ITEM:
        return named && PyDict_Check(where);
    case ATTRIBUTE:
        return named && Py_TYPE(where)->tp_dictoffset;
    case ATTRIBUTES:
        return Py_TYPE(where)->tp_dictoffset;
    case TYPE:
        return true;
    case SLOT:
        return (Py_IS_TYPE(place->key, &PyMemberDescr_Type) || Py_IS_TYPE(place->key, &PyGetSetDescr_Type))
               && PyObject_TypeCheck(where, PyDescr_TYPE(place->key));
    case CLASS:
        return named && PyType_Check(where);
    case CELL:
        return PyCell_Check(where);
    case CONTEXT:
        return PyContextVar_CheckExact(where);
    case FUNCTION:
        return PyFunction_Check(where) && count == 3;
    case ITEMS:
        return PyList_Check(where);
    case PAIRS:
        return PyDict_Check(where);
    case SET:
        return PyAnySet_CheckExact(where);
    default:
        return PyObject_TypeCheck(where, ArrayType)
               && count == 3 && Py_IS_TYPE(PyTuple_GET_ITEM(place->found, 0), ArrayType)
               && PyLong_CheckExact(PyTuple_GET_ITEM(place->found, 1));
    }
}

static bool read_place(Place *place, PyObject *description)
{
    const char *name;
    if (!PyTuple_Check(description)) {
        PyErr_SetString(PyExc_TypeError, "a place is a tuple");
        return false;
    }
    if (!PyArg_ParseTuple(description, "sOOO!", &name, &place->where, &place->key, &PyTuple_Type, &place->found)) {
        place->where = place->key = place->found = NULL;
        return false;
    }
    Py_INCREF(place->where);
    Py_INCREF(place->key);
    Py_INCREF(place->found);
    while (place->kind < PLACES && strcmp(name, PLACE_NAMES[place->kind]))
        place->kind++;
    if (place->kind < PLACES && fits(place))
        return true;
    PyErr_Format(PyExc_ValueError, "no place to watch: %s", name);
    return false;
}

/* Watch(places) */
static PyObject *watch_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)keywords;
    PyObject *places;
    if (!PyArg_ParseTuple(args, "O!", &PyTuple_Type, &places))
        return NULL;
    Watch *watch = (Watch *)type->tp_alloc(type, 0);
    if (!watch)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(places);
    watch->places = PyMem_Calloc((size_t)count + 1, sizeof *watch->places);
    if (!watch->places)
        PyErr_NoMemory();
    for (bool right = watch->places; right && watch->count < count; watch->count++)
        right = read_place(&watch->places[watch->count], PyTuple_GET_ITEM(places, watch->count));
    if (PyErr_Occurred())
        Py_CLEAR(watch);
    return (PyObject *)watch;
}

static PyObject *watch_asked(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    int holds = watch_holds((Watch *)self);
    return holds < 0 ? NULL : PyBool_FromLong(holds);
}

static int watch_traverse(PyObject *self, visitproc visit, void *arg)
{
    Watch *watch = (Watch *)self;
    Py_VISIT(Py_TYPE(self));
    for (Py_ssize_t i = 0; i < watch->count; i++) {
        Py_VISIT(watch->places[i].where);
        Py_VISIT(watch->places[i].key);
        Py_VISIT(watch->places[i].found);
    }
    return 0;
}

static void watch_dealloc(PyObject *self)
{
    Watch *watch = (Watch *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    for (Py_ssize_t i = 0; i < watch->count; i++) {
        Py_XDECREF(watch->places[i].where);
        Py_XDECREF(watch->places[i].key);
        Py_XDECREF(watch->places[i].found);
    }
    PyMem_Free(watch->places);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef watch_methods[] = {
    {"holds", watch_asked, METH_NOARGS, "Whether all places are as they were."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot watch_slots[] = {
    {Py_tp_doc, "All places that a function reads."},
    {Py_tp_new, watch_new},
    {Py_tp_traverse, watch_traverse},
    {Py_tp_dealloc, watch_dealloc},
    {Py_tp_methods, watch_methods},
    {0, NULL},
};

static PyType_Spec watch_spec = {
    .name = "autograd.compiler.run._call.Watch",
    .basicsize = sizeof(Watch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = watch_slots,
};
