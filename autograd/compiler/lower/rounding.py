"""`round(x, n)` in machine code: the nearest number of n decimal digits, with Python's result to the last bit.

Python rounds the exact value of x, half to even, and takes the double nearest to the result. For up to 22 digits, 10ⁿ
is a double, so the product x·10ⁿ is exactly the sum h + l of two doubles (l by a fused multiply-add). Both give the
nearest whole number k, and k / 10ⁿ is rounded once. For digits before the point, the remainder x - k·10⁻ⁿ, also exact,
says on which side of the midpoint x is. Python is called if the quotient or product is not below 2⁵², or n is above 22.
"""

from __future__ import annotations

from autograd.compiler.lower.module import Module, literal

SYMBOL = "autograd_round"
PYTHON = "autograd_python.round"
MOST_DIGITS = 22  # 10**22 is the largest power of ten that is a double


def write_round(module: Module) -> str:
    """Write the function unless the module has it; return its symbol."""
    if SYMBOL not in module.helpers:
        module.declarations[PYTHON] = f"declare double @{PYTHON}(double, double) nounwind"
        for name, count in (("trunc", 1), ("roundeven", 1), ("fabs", 1), ("copysign", 2), ("fma", 3)):
            arguments = ", ".join(["double"] * count)
            symbol = f"llvm.{name}.f64"
            module.declarations[symbol] = f"declare double @{symbol}({arguments}) nounwind memory(none)"
        module.helpers[SYMBOL] = _TEXT
    return SYMBOL


_POWERS = ", ".join(f"double {literal(10.0**n, 1)}" for n in range(MOST_DIGITS + 1))
_TEXT = f"""@{SYMBOL}.powers = private unnamed_addr constant [{MOST_DIGITS + 1} x double] [{_POWERS}]
define internal double @{SYMBOL}(double %x, double %n) nounwind {{
entry:
  %digits = call double @llvm.trunc.f64(double %n)
  %count = call double @llvm.fabs.f64(double %digits)
  %few = fcmp ole double %count, {literal(float(MOST_DIGITS), 1)}
  br i1 %few, label %inline, label %python
inline:
  %index = fptosi double %count to i64
  %place = getelementptr double, ptr @{SYMBOL}.powers, i64 %index
  %p = load double, ptr %place
  %behind = fcmp oge double %digits, 0.0
  %product = fmul double %x, %p
  %quotient = fdiv double %x, %p
  %h = select i1 %behind, double %product, double %quotient
  %size = call double @llvm.fabs.f64(double %h)
  %small = fcmp olt double %size, {literal(2.0**52, 1)}
  br i1 %small, label %nearest, label %python
nearest:
  %k = call double @llvm.roundeven.f64(double %h)
  br i1 %behind, label %fraction, label %whole
fraction:
  %minus = fneg double %h
  %l = call double @llvm.fma.f64(double %x, double %p, double %minus)
  %d = fsub double %h, %k
  %high = fcmp oeq double %d, 0.5
  %beyond = fcmp ogt double %l, 0.0
  %low = fcmp oeq double %d, -0.5
  %short = fcmp olt double %l, 0.0
  %fup = and i1 %high, %beyond
  %fdown = and i1 %low, %short
  br label %moved
whole:
  %opposite = fneg double %k
  %r = call double @llvm.fma.f64(double %opposite, double %p, double %x)
  %middle = fmul double %p, 0.5
  %under = fneg double %middle
  %k2 = fmul double %k, 0.5
  %even2 = call double @llvm.roundeven.f64(double %k2)
  %odd = fcmp une double %k2, %even2
  %above = fcmp ogt double %r, %middle
  %tied = fcmp oeq double %r, %middle
  %below = fcmp olt double %r, %under
  %tied2 = fcmp oeq double %r, %under
  %leave = and i1 %tied, %odd
  %leave2 = and i1 %tied2, %odd
  %wup = or i1 %above, %leave
  %wdown = or i1 %below, %leave2
  br label %moved
moved:
  %up = phi i1 [%fup, %fraction], [%wup, %whole]
  %down = phi i1 [%fdown, %fraction], [%wdown, %whole]
  %more = fadd double %k, 1.0
  %less = fsub double %k, 1.0
  %k.up = select i1 %up, double %more, double %k
  %k.moved = select i1 %down, double %less, double %k.up
  %ratio = fdiv double %k.moved, %p
  %multiple = fmul double %k.moved, %p
  %result = select i1 %behind, double %ratio, double %multiple
  %signed = call double @llvm.copysign.f64(double %result, double %x)
  ret double %signed
python:
  %asked = call double @{PYTHON}(double %x, double %n)
  ret double %asked
}}"""
