/* Arrays of doubles, read without NumPy's headers.

The fields are those that NumPy's macros read in every extension module, so no version may move them. `trust_arrays`
compares them with what real arrays report before anything relies on them. */

#define DOUBLE 12 /* NumPy's numbers for the type of element, and its flags */
#define CONTIGUOUS 0x0001
#define ALIGNED 0x0100
#define WRITEABLE 0x0400

typedef struct {
    PyObject_HEAD
    PyTypeObject *scalar;
    char kind, code, byteorder, flags;
    int number;
} Element;

typedef struct {
    PyObject_HEAD
    char *data;
    int ndim;
    Py_ssize_t *shape, *strides;
    PyObject *base;
    Element *element;
    int flags;
} Array;

static PyTypeObject *ArrayType, *NumberType; /* numpy.ndarray, numpy.float64 */
static PyObject *numpy_empty;

/* Whether it is exactly an ndarray, and of this machine's doubles. */
static inline bool is_doubles(PyObject *object)
{
    if (!Py_IS_TYPE(object, ArrayType))
        return false;
    Element *element = ((Array *)object)->element;
    return element->number == DOUBLE && element->byteorder == '=';
}

static bool same_shape(const Py_ssize_t *sides, const Py_ssize_t *expected, int count)
{
    for (int i = 0; i < count; i++)
        if (sides[i] != expected[i])
            return false;
    return true;
}

static double *copy_strided(double *to, const char *from, int ndim, const Py_ssize_t *sides, const Py_ssize_t *strides)
{
    if (ndim == 0) {
        memcpy(to, from, sizeof *to); /* it may lie at any address */
        return to + 1;
    }
    for (Py_ssize_t i = 0; i < *sides; i++)
        to = copy_strided(to, from + i * *strides, ndim - 1, sides + 1, strides + 1);
    return to;
}

/* Copy the numbers, the last axis fastest. */
static void copy_numbers(double *to, const Array *array, Py_ssize_t count)
{
    if (array->flags & CONTIGUOUS)
        memcpy(to, array->data, (size_t)count * sizeof *to);
    else
        copy_strided(to, array->data, array->ndim, array->shape, array->strides);
}

/* ---- trust ---- */

static bool attribute_is(PyObject *object, const char *name, long expected)
{
    PyObject *attribute = PyObject_GetAttrString(object, name);
    bool same = attribute && PyLong_AsLong(attribute) == expected;
    Py_XDECREF(attribute);
    return same;
}

/* Whether the fields of a matrix are what it reports; a pointer is followed only after the fields before it are checked. */
static bool fields_are_right(PyObject *matrix)
{
    Py_buffer view;
    if (!Py_IS_TYPE(matrix, ArrayType) || PyObject_GetBuffer(matrix, &view, PyBUF_STRIDED_RO) < 0)
        return false;
    Array *array = (Array *)matrix;
    PyObject *dtype = PyObject_GetAttrString(matrix, "dtype"), *flags = PyObject_GetAttrString(matrix, "flags");
    bool right = dtype && flags && view.ndim == 2 && array->ndim == 2 && array->data == view.buf
                 && same_shape(array->shape, view.shape, 2) && same_shape(array->strides, view.strides, 2)
                 && (PyObject *)array->element == dtype && attribute_is(dtype, "num", array->element->number)
                 && attribute_is(flags, "num", array->flags);
    Py_XDECREF(dtype);
    Py_XDECREF(flags);
    PyBuffer_Release(&view);
    return right;
}

/* Look at a matrix of one element type: 1 for doubles, 0 for others, -1 if the fields are not as expected. */
static int look_at_matrix(PyObject *numpy, const char *dtype)
{
    PyObject *matrix = PyObject_CallMethod(numpy, "zeros", "((ii)s)", 2, 3, dtype);
    PyObject *turned = matrix ? PyObject_GetAttrString(matrix, "T") : NULL;
    int found = -1;
    if (turned && fields_are_right(matrix) && fields_are_right(turned))
        found = is_doubles(turned) && (((Array *)matrix)->flags & ~((Array *)turned)->flags & CONTIGUOUS);
    Py_XDECREF(matrix);
    Py_XDECREF(turned);
    return found;
}

/* Keep what is needed from NumPy; false if its arrays do not have the layout described here. */
static bool trust_arrays(PyObject *numpy)
{
    ArrayType = (PyTypeObject *)PyObject_GetAttrString(numpy, "ndarray");
    NumberType = (PyTypeObject *)PyObject_GetAttrString(numpy, "float64");
    numpy_empty = PyObject_GetAttrString(numpy, "empty");
    if (!ArrayType || !NumberType || !numpy_empty)
        return false;
    if (ArrayType->tp_basicsize >= (Py_ssize_t)sizeof(Array) && PyType_IsSubtype(NumberType, &PyFloat_Type)
        && look_at_matrix(numpy, "=f8") == 1 && look_at_matrix(numpy, "<f8") + look_at_matrix(numpy, ">f8") == 1
        && look_at_matrix(numpy, "i8") == 0)
        return true;
    PyErr_Clear();
    PyErr_SetString(PyExc_ImportError, "this NumPy's arrays do not have the fields that the C build expects");
    return false;
}
