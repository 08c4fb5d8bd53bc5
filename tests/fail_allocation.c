/* For tests: let only the n-th allocation from now on fail. CPython's `_testcapi.set_nomemory` does nearly the same,
but is not in every distribution. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyMemAllocatorEx originals[3]; /* of the domains: raw, mem, object */
static long left;                     /* allocations until the one that fails; 0: none does */

static int fails(void) { return left > 0 && --left == 0; }

static void *fail_malloc(void *context, size_t size)
{
    PyMemAllocatorEx *original = context;
    return fails() ? NULL : original->malloc(original->ctx, size);
}

static void *fail_calloc(void *context, size_t count, size_t size)
{
    PyMemAllocatorEx *original = context;
    return fails() ? NULL : original->calloc(original->ctx, count, size);
}

static void *fail_realloc(void *context, void *block, size_t size)
{
    PyMemAllocatorEx *original = context;
    return fails() ? NULL : original->realloc(original->ctx, block, size);
}

static void pass_free(void *context, void *block)
{
    PyMemAllocatorEx *original = context;
    original->free(original->ctx, block);
}

static PyObject *arm(PyObject *module, PyObject *number)
{
    long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred())
        return NULL;
    left = n;
    Py_RETURN_NONE;
}

/* Whether it has failed; none does from now on. Takes no memory itself. */
static PyObject *disarm(PyObject *module, PyObject *unused)
{
    long before = left;
    left = 0;
    return PyBool_FromLong(before == 0);
}

static PyMethodDef methods[] = {
    {"arm", arm, METH_O, NULL},
    {"disarm", disarm, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "fail_allocation", .m_methods = methods};

PyMODINIT_FUNC PyInit_fail_allocation(void)
{
    for (int domain = 0; domain < 3; domain++) {
        PyMem_GetAllocator((PyMemAllocatorDomain)domain, &originals[domain]);
        PyMemAllocatorEx hook = {&originals[domain], fail_malloc, fail_calloc, fail_realloc, pass_free};
        PyMem_SetAllocator((PyMemAllocatorDomain)domain, &hook);
    }
    return PyModule_Create(&definition);
}
