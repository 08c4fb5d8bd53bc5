#!/usr/bin/env bash
# Run the tests of the C build under gcc's address and undefined-behaviour sanitisers, in a temporary copy.
#     tools/check_memory.sh [--quick] [PYTHON [PYTEST ARGUMENTS...]]
# --quick runs only random calls, some failing allocations, and the calls of compiled functions.
# PYTHON needs pytest, hypothesis, numpy and llvmlite. Here each node has its own allocation, so that each is checked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests=(tests/test_c_node.py tests/test_jit_call.py tests/test_fuzz_c.py tests/test_failing_allocations.py
    tests/test_capture_in_c.py)
if [ "${1:-}" = --quick ]; then
    tests=(tests/test_jit_call.py tests/test_fuzz_c.py tests/test_capture_in_c.py
        "tests/test_failing_allocations.py::test_every_allocation_fails_once[operators]"
        "tests/test_failing_allocations.py::test_every_allocation_fails_once[compiled]"
        "tests/test_failing_allocations.py::test_every_allocation_fails_once[captures]")
    shift
fi
python=${1:-python3}
shift || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r autograd nn tests tools setup.py setup.cfg pyproject.toml README.md LICENSE "$work"
cd "$work"
rm -f autograd/_value*.so autograd/compiler/run/_call*.so
flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
CFLAGS="$flags -DAUTOGRAD_PLAIN_MEMORY" LDFLAGS="-fsanitize=address,undefined" "$python" setup.py -q build_ext --inplace
ls autograd/_value*.so autograd/compiler/run/_call*.so >/dev/null
# Python itself never frees everything, so the tests that count references look for leaks.
export ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$work
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    "$python" -m pytest -q -p no:cacheprovider --hypothesis-seed=0 "${tests[@]}" \
    -k "not million and not memory_comes_back and not copy_of_the_package and not environment and not portable \
        and not leaks" "$@"
