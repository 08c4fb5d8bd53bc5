"""`fmod` in machine code, in all lanes at once, with the bits of C's function.

Let q be the quotient rounded down. Then x - q·y, in one rounding (a fused multiply-add), is the exact remainder. As
the quotient itself was rounded first, q may be too large by one; then y is added back, which is exact too. That is so
while q is below 2⁵² and y is finite; otherwise C's function is called for each lane.
"""

from __future__ import annotations

from autograd.compiler.lower.module import Module, kind, literal

LARGEST = 2.0**52


def write_remainder(module: Module, lanes: int, slowly: str) -> str:
    """Write the function for this number of lanes unless the module has it; `slowly` is the function of C."""
    name = f"remainders.{lanes}"
    if name in module.helpers:
        return name
    t, bit = kind(lanes), kind(lanes, "i1")
    suffix = "f64" if lanes == 1 else f"v{lanes}f64"
    for symbol, count in (("fabs", 1), ("trunc", 1), ("copysign", 2), ("fma", 3)):
        known = f"llvm.{symbol}.{suffix}"
        module.declarations[known] = f"declare {t} @{known}({', '.join([t] * count)}) nounwind memory(none)"
    all_fit = "%fits"
    reduced = ""
    if lanes > 1:
        all_fit, reduced = "%all", f"%all = {module.of_lanes('and', '%fits', lanes)}"
    module.helpers[name] = f"""define internal {t} @{name}({t} %x, {t} %y) nounwind {{
  %a = call {t} @llvm.fabs.{suffix}({t} %x)
  %b = call {t} @llvm.fabs.{suffix}({t} %y)
  %quotient = fdiv {t} %a, %b
  %q = call {t} @llvm.trunc.{suffix}({t} %quotient)
  %small = fcmp olt {t} %q, {literal(LARGEST, lanes)}
  %finite = fcmp olt {t} %b, {literal(float("inf"), lanes)}
  %fits = and {bit} %small, %finite
  {reduced}
  br i1 {all_fit}, label %fast, label %slow
fast:
  %minus = fneg {t} %q
  %rest = call {t} @llvm.fma.{suffix}({t} %minus, {t} %b, {t} %a)
  %below = fcmp olt {t} %rest, {literal(0.0, lanes)}
  %more = fadd {t} %rest, %b
  %r = select {bit} %below, {t} %more, {t} %rest
  %signed = call {t} @llvm.copysign.{suffix}({t} %r, {t} %x)
  ret {t} %signed
slow:
  %called = call {t} @{slowly}({t} %x, {t} %y)
  ret {t} %called
}}"""
    return name
