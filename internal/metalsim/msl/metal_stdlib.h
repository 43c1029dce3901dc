// Everything that <metal_stdlib> and its parts declare. Our own, on no C++ library: what MSL lacks is not there either.
#pragma once
#include "runtime.h"
#include "scalar.h"
#include "type_traits.h"
#include "limits.h"
#include "vector.h"
#include "math_functions.h"
#include "integer_functions.h"
#include "geometric.h"
#include "matrix.h"
#include "array.h"
#include "atomic.h"
#include "uniform.h"
#if __has_include("barrier.h")
#include "barrier.h"
#endif
#if __has_include("simd.h")
#include "simd.h"
#endif
#if __has_include("simdgroup_matrix.h")
#include "simdgroup_matrix.h"
#endif
#include "module.h"
