"""Names in C: names of Python made valid and unique."""

from __future__ import annotations

import re
import unicodedata

# Words of C and C++ (a header may be included in both), macros, and what the generated code itself uses.
WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
alignas alignof and and_eq asm bitand bitor bool catch class compl concept constexpr const_cast decltype delete
dynamic_cast explicit export false final friend import module mutable namespace new noexcept not not_eq nullptr operator
or or_eq override private protected public reinterpret_cast requires static_assert static_cast template this
thread_local throw true try typeid typename typeof using virtual wchar_t xor xor_eq
NAN INFINITY HUGE_VAL HUGE_VALF HUGE_VALL HUGE DOMAIN SING OVERFLOW UNDERFLOW TLOSS PLOSS math_errhandling
NULL EOF size_t ptrdiff_t double_t float_t linux unix assert errno main near far
""".split()  # noqa: SIM905 (a list of words is read as text)
MATH = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin
fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter
nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc signgam
fpclassify isfinite isinf isnan isnormal signbit isgreater isgreaterequal isless islessequal islessgreater isunordered
""".split()  # noqa: SIM905
# Functions of the library: a parameter may have such a name, an exported function may not.
LIBRARY = """
abort abs atexit atof atoi atol bsearch calloc clock div exit fclose fopen fprintf fputc fputs fread free fscanf fwrite
getc getchar getenv gets imaxabs isalnum isalpha isdigit isspace labs ldiv llabs lldiv localtime longjmp malloc memchr
memcmp memcpy memmove memset perror printf putc putchar puts qsort raise rand realloc remove rename rewind scanf setjmp
signal snprintf sprintf srand sscanf strcat strchr strcmp strcpy strlen strncmp strncpy strstr strtod strtol system time
tmpfile tolower toupper vfprintf vprintf gamma j0 j1 jn y0 y1 yn index rindex read write open close
""".split()  # noqa: SIM905
# The file of a function must not be included in place of a header of the library, or of one that this includes.
HEADERS = """
alloca assert bits complex ctype endian errno features fenv float inttypes iso646 limits locale math setjmp signal
stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
""".split()  # noqa: SIM905
RESERVED = frozenset([*WORDS, *MATH, *[f"{name}{kind}" for name in MATH for kind in "fl"]])


def sanitised(text: str) -> str:
    """A valid name in C that resembles a text: ``p['a'][0]`` becomes p_a_0, σ becomes sigma.

    Examples
    --------
    >>> sanitised("p['a'][0]"), sanitised("σ"), sanitised("2nd")
    ('p_a_0', 'sigma', 'x2nd')
    """
    spelled = "".join([char if char.isascii() else _spelled(char) for char in unicodedata.normalize("NFKC", text)])
    name = re.sub(r"\W+", "_", spelled, flags=re.ASCII).strip("_")
    return f"x{name}" if not name or name[0].isdigit() else name


def _spelled(char: str) -> str:
    """A character outside ASCII in ASCII: the last word of its Unicode name, or its number."""
    words = unicodedata.name(char, "").split()
    if "LETTER" in words and len(words) == words.index("LETTER") + 2:
        return words[-1].lower()
    return f"_u{ord(char):x}_"


class Names:
    """The names that are taken in one function."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def saved(self) -> set[str]:
        """A copy of the taken names, for `restore`."""
        return set(self.taken)

    def restore(self, taken: set[str]) -> None:
        """Free the names that have been taken since."""
        self.taken = taken

    def take(self, wanted: str) -> str:
        """Take a free name: the wanted one, or one like it."""
        name, number = sanitised(wanted), 1
        found = f"{name}_" if name in RESERVED or name.startswith(("M_", "FP_", "MATH_")) else name
        while found in self.taken:
            number += 1
            found = f"{name}_{number}"
        self.taken.add(found)
        return found

    def numbered(self, letter: str) -> str:
        """Take a new name: the letter with the next free number."""
        number = 1
        while f"{letter}{number}" in self.taken:
            number += 1
        self.taken.add(f"{letter}{number}")
        return f"{letter}{number}"


def function_name(wanted: str) -> str:
    """The name of a function and its files; it is not one of the library."""
    name = sanitised(wanted.replace("<lambda>", "function"))
    return f"{name}_" if name in RESERVED or name in LIBRARY or name in HEADERS else name


def comment(text: str) -> str:
    """Text that may stand in a comment."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "/").split())
