// What the kernels of this folder share. The text compiles three ways: by NVRTC, which has no headers, by nvcc,
// and, with POSE_ON_CPU defined, by a C++ compiler behind tests/engine/cuda/shim.h, which stands in for the
// language of CUDA. Shared memory is static, block sizes are multiples of 32 and no thread leaves a kernel
// before its last barrier.
#ifndef POSE_CUH
#define POSE_CUH

typedef unsigned long long u64;

#define POSE_INFINITY __int_as_float(0x7f800000)
#define POSE_NAN __int_as_float(0x7fc00000)

// IEEE 754 binary16, as networks in fp16 take and give it.
struct Half {
    unsigned short bits;
};

__device__ inline float to_float(float value) { return value; }

__device__ inline float to_float(Half value) {
#ifdef POSE_ON_CPU
    return shim_half_to_float(value.bits);
#else
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
#endif
}

__device__ inline void store(float* place, float value) { *place = value; }

// Rounds to nearest, ties to even.
__device__ inline void store(Half* place, float value) {
#ifdef POSE_ON_CPU
    place->bits = shim_float_to_half(value);
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(place->bits) : "f"(value));
#endif
}

__device__ inline bool is_nan(float value) { return value != value; }

// Maps floats to unsigned so that the order is kept: NaN above all, both zeros alike.
__device__ inline unsigned ordered_bits(float value) {
    if (is_nan(value)) return 0xffffffffu;
    const unsigned bits = __float_as_uint(value + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Undoes `ordered_bits`.
__device__ inline float from_ordered_bits(unsigned bits) {
    return __uint_as_float(bits & 0x80000000u ? bits ^ 0x80000000u : ~bits);
}

// Sorts by value, largest first, and among equals by place, smallest first: the larger key comes first.
__device__ inline u64 peak_key(float value, unsigned place) {
    return static_cast<u64>(ordered_bits(value)) << 32 | ~place;
}

__device__ inline unsigned key_place(u64 key) { return ~static_cast<unsigned>(key); }

// The largest key of the 32 lanes, in every lane.
__device__ inline u64 warp_max(u64 key) {
    for (int offset = 16; offset > 0; offset /= 2) {
        const u64 other = __shfl_xor_sync(0xffffffffu, key, offset);
        key = other > key ? other : key;
    }
    return key;
}

__device__ inline int clamp(int value, int low, int high) { return max(low, min(value, high)); }

// Rounds after each operation: a fused product would turn a singular matrix into one that is nearly so.
__device__ inline float difference_of_products(float a, float b, float c, float d) {
    return __fsub_rn(__fmul_rn(a, b), __fmul_rn(c, d));
}

__device__ inline float finite_or_zero(float value) { return fabsf(value) < POSE_INFINITY ? value : 0.0f; }

// Newton's step from slopes and curvatures; 0 where the matrix is singular or the quotients are not finite.
__device__ inline float2 newton_step(float dx, float dy, float dxx, float dyy, float dxy) {
    const float determinant = difference_of_products(dxx, dyy, dxy, dxy);
    if (determinant == 0.0f) return make_float2(0.0f, 0.0f);
    const float x = __fdiv_rn(difference_of_products(dxy, dy, dyy, dx), determinant);
    const float y = __fdiv_rn(difference_of_products(dxy, dx, dxx, dy), determinant);
    return make_float2(finite_or_zero(x), finite_or_zero(y));
}

// One picture on the device. A kernel reads it through a pointer, so that a captured launch serves every frame.
struct FrameView {
    u64 pixels;  // address of (height, width, 3) uint8 BGR
    int height;
    int width;
    int pitch;  // bytes from one row to the next
    int reserved;
};

#endif
