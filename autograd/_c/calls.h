/* A watch over the calls of a thread, as `sys.setprofile` keeps one, that asks Python only where there may be something
to see. `Texts._event` in compiler/capture/texts.py defines what that is. */

/* The watch is a tuple: a dict with the ids of code to pass over, the Python function, and two built-in functions to report. */
static int see_call(PyObject *watch, PyFrameObject *frame, int what, PyObject *called)
{
    if (what == PyTrace_CALL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyObject *id = PyLong_FromVoidPtr(code);
        int passed = id ? PyDict_Contains(PyTuple_GET_ITEM(watch, 0), id) : -1;
        Py_XDECREF(id);
        Py_DECREF(code);
        if (passed)
            return passed < 0 ? -1 : 0;
        called = Py_None;
    } else if (what != PyTrace_C_CALL
               || (called != PyTuple_GET_ITEM(watch, 2) && called != PyTuple_GET_ITEM(watch, 3))) {
        return 0;
    }
    PyObject *done = PyObject_CallFunction(PyTuple_GET_ITEM(watch, 1), "OsO", frame,
                                           what == PyTrace_CALL ? "call" : "c_call", called);
    if (!done) {
        PyEval_SetProfile(NULL, NULL);
        return -1;
    }
    Py_DECREF(done);
    return 0;
}

/* watch_calls(passed, event, one, other): tell `event` of the calls of Python code whose id is not in `passed`, and of those
of two built-in functions, as `sys.setprofile` does; it also ends the watch. */
static PyObject *value_watch_calls(PyObject *module, PyObject *args)
{
    PyObject *passed, *event, *one, *other;
    if (!PyArg_ParseTuple(args, "O!OOO", &PyDict_Type, &passed, &event, &one, &other))
        return NULL;
    PyEval_SetProfile(see_call, args);
    Py_RETURN_NONE;
}
