// Stands in for the language of CUDA, so that the kernels of engine/cuda run on a CPU.
//
// One block after another. By default the threads of a block are fibres of one thread, switched at barriers:
// fast, and always in the same order. With SHIM_THREADS they are real threads, for ThreadSanitizer.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>
#ifdef SHIM_THREADS
#include <barrier>
#include <thread>
#else
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __shared__ static

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(4) ushort2 { unsigned short x, y; };
struct alignas(8) ushort4 { unsigned short x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

#ifdef SHIM_THREADS
#define SHIM_LOCAL inline thread_local
#else
#define SHIM_LOCAL inline
#endif
SHIM_LOCAL dim3 threadIdx;
SHIM_LOCAL unsigned shim_rank;
inline dim3 blockIdx, blockDim, gridDim;
inline std::uint64_t shim_slots[1024];

#ifdef SHIM_THREADS
inline std::unique_ptr<std::barrier<>> shim_block_barrier;
inline std::vector<std::unique_ptr<std::barrier<>>> shim_warp_barriers;
inline void __syncthreads() { shim_block_barrier->arrive_and_wait(); }
inline void __syncwarp(unsigned = 0xffffffffu) { shim_warp_barriers[shim_rank / 32]->arrive_and_wait(); }
#else
struct ShimFibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[1 << 17]};
    int waits = 0;  // 0 runs, 1 at the block's barrier, 2 at its warp's, 3 has ended
};
inline std::vector<std::unique_ptr<ShimFibre>> shim_fibres;
inline ucontext_t shim_scheduler;
inline void shim_wait(int what) {
    ShimFibre& fibre = *shim_fibres[shim_rank];
    fibre.waits = what;
    swapcontext(&fibre.context, &shim_scheduler);
}
inline void __syncthreads() { shim_wait(1); }
inline void __syncwarp(unsigned = 0xffffffffu) { shim_wait(2); }
#endif

template <typename T>
T shim_exchange(T value, unsigned source) {
    static_assert(sizeof(T) <= 8);
    std::memcpy(&shim_slots[shim_rank], &value, sizeof(T));
    __syncwarp();
    T result;
    std::memcpy(&result, &shim_slots[source], sizeof(T));
    __syncwarp();
    return result;
}
template <typename T>
T __shfl_sync(unsigned, T value, int lane) { return shim_exchange(value, shim_rank / 32 * 32 + lane % 32); }
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) { return shim_exchange(value, shim_rank ^ mask); }
template <typename T>
T __shfl_down_sync(unsigned, T value, int offset) {
    const unsigned lane = shim_rank % 32 + offset;
    return shim_exchange(value, lane < 32 ? shim_rank + offset : shim_rank);
}
inline unsigned __ballot_sync(unsigned, int predicate) {
    shim_slots[shim_rank] = predicate != 0;
    __syncwarp();
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane) votes |= unsigned(shim_slots[shim_rank / 32 * 32 + lane]) << lane;
    __syncwarp();
    return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == 0xffffffffu; }
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return unsigned((std::uint64_t(high) << 32 | low) >> (shift & 31));
}
inline unsigned __byte_perm(unsigned first, unsigned second, unsigned selector) {
    const std::uint64_t bytes = std::uint64_t(second) << 32 | first;
    unsigned result = 0;
    for (unsigned place = 0; place < 4; ++place)
        result |= unsigned(bytes >> 8 * (selector >> 4 * place & 7) & 255) << 8 * place;
    return result;
}
inline int __clz(int value) { return value ? __builtin_clz(unsigned(value)) : 32; }

template <typename T>
T atomicAdd(T* place, T value) { return std::atomic_ref<T>(*place).fetch_add(value); }
template <typename T>
T atomicOr(T* place, T value) { return std::atomic_ref<T>(*place).fetch_or(value); }
template <typename T>
T atomicExch(T* place, T value) { return std::atomic_ref<T>(*place).exchange(value); }
template <typename T>
T atomicMax(T* place, T value) {
    std::atomic_ref<T> cell(*place);
    T old = cell.load();
    while (old < value && !cell.compare_exchange_weak(old, value)) {
    }
    return old;
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

template <typename To, typename From>
To shim_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    std::memcpy(&result, &value, sizeof(To));
    return result;
}
inline unsigned __float_as_uint(float value) { return shim_bits<unsigned>(value); }
inline int __float_as_int(float value) { return shim_bits<int>(value); }
inline float __uint_as_float(unsigned value) { return shim_bits<float>(value); }
inline float __int_as_float(int value) { return shim_bits<float>(value); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline int __float2int_rn(float value) { return int(std::nearbyint(value)); }
inline int __float2int_rd(float value) { return int(std::floor(value)); }
template <typename T>
T __ldg(const T* place) {
    if (reinterpret_cast<std::uintptr_t>(place) % sizeof(T) != 0) {  // a CPU would allow it
        std::fputs("a load of several bytes from an address that is no multiple of them\n", stderr);
        std::abort();
    }
    return *place;
}
using std::max;
using std::min;

inline float shim_half_to_float(unsigned short bits) { return float(shim_bits<_Float16>(bits)); }
inline unsigned short shim_float_to_half(float value) { return shim_bits<unsigned short>(_Float16(value)); }

template <typename Body>
void shim_run_block(const Body& body, unsigned threads) {
    const auto place = [](unsigned rank) {
        shim_rank = rank;
        threadIdx = {rank % blockDim.x, rank / blockDim.x % blockDim.y, rank / (blockDim.x * blockDim.y)};
    };
#ifdef SHIM_THREADS
    shim_block_barrier = std::make_unique<std::barrier<>>(threads);
    shim_warp_barriers.clear();
    for (unsigned first = 0; first < threads; first += 32)
        shim_warp_barriers.push_back(std::make_unique<std::barrier<>>(std::min(32u, threads - first)));
    std::vector<std::thread> crew;
    for (unsigned rank = 0; rank < threads; ++rank)
        crew.emplace_back([&, rank] {
            place(rank);
            body();
            shim_warp_barriers[rank / 32]->arrive_and_drop();
            shim_block_barrier->arrive_and_drop();
        });
    for (std::thread& thread : crew) thread.join();
#else
    while (shim_fibres.size() < threads) shim_fibres.push_back(std::make_unique<ShimFibre>());
    static const Body* running;
    running = &body;
    for (unsigned rank = 0; rank < threads; ++rank) {
        ShimFibre& fibre = *shim_fibres[rank];
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.get();
        fibre.context.uc_stack.ss_size = 1 << 17;
        fibre.context.uc_link = &shim_scheduler;
        fibre.waits = 0;
        makecontext(&fibre.context, reinterpret_cast<void (*)()>(+[] {
                        (*running)();
                        shim_fibres[shim_rank]->waits = 3;
                    }), 0);
    }
    unsigned ended = 0;
    const auto advance = [&](unsigned rank) {
        ShimFibre& fibre = *shim_fibres[rank];
        if (fibre.waits != 0) return;
        place(rank);
        swapcontext(&shim_scheduler, &fibre.context);
        ended += fibre.waits == 3;
    };
    while (ended < threads) {
        for (unsigned first = 0; first < threads; first += 32) {
            const unsigned last = std::min(first + 32, threads);
            for (bool again = true; again;) {
                for (unsigned rank = first; rank < last; ++rank) advance(rank);
                again = false;  // a warp goes on by itself once all its lanes are at its barrier or beyond
                bool at_block = false;
                for (unsigned rank = first; rank < last; ++rank) {
                    again = again || shim_fibres[rank]->waits == 2;
                    at_block = at_block || shim_fibres[rank]->waits == 1;
                }
                if (again && at_block) {
                    std::fputs("lanes of one warp wait at different barriers\n", stderr);
                    std::abort();
                }
                for (unsigned rank = first; again && rank < last; ++rank)
                    if (shim_fibres[rank]->waits == 2) shim_fibres[rank]->waits = 0;
            }
        }
        for (unsigned rank = 0; rank < threads; ++rank)
            if (shim_fibres[rank]->waits == 1) shim_fibres[rank]->waits = 0;
    }
#endif
}

// Runs a kernel; `arguments` holds the address of each argument, as cuLaunchKernel takes them.
template <typename... Types>
void shim_launch(void (*kernel)(Types...), const unsigned* grid, const unsigned* block, void** arguments) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    [&]<std::size_t... Index>(std::index_sequence<Index...>) {
        const auto body = [&] { kernel(*static_cast<std::remove_cv_t<Types>*>(arguments[Index])...); };
        for (unsigned z = 0; z < grid[2]; ++z)
            for (unsigned y = 0; y < grid[1]; ++y)
                for (unsigned x = 0; x < grid[0]; ++x) {
                    blockIdx = {x, y, z};
                    shim_run_block(body, block[0] * block[1] * block[2]);
                }
    }(std::index_sequence_for<Types...>{});
}
