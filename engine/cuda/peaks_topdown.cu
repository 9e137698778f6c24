// The one keypoint of each top-down heatmap: the maximum, then its sub-pixel place.
//
// heatmaps (rows, K, H, W) float or fp16, C order. Rows 0 .. capacity - 1 are the maps of the crops; with
// `mirrored`, row capacity + n holds those of crop n mirrored, and what is decoded is the mean of a map and its
// partner turned back: the map of the exchanged keypoint, mirrored, and with `shift` moved one px right,
// column 0 keeping its value. target (capacity, K, 3) float: x, y in heatmap px and the maximum. Rows from
// *count on are left alone. All arithmetic is float.
//
// One block of THREADS per map: blockIdx.x the keypoint, blockIdx.y the crop. The maximum is the first in
// C order, NaN above all, as np.argmax has it. A map whose maximum is not positive and finite gives (0, 0) and
// the maximum. Methods, as engine/decode/peaks.py states them: 0 whole px; 1 quarter px (Sun et al. 2019);
// 2 Newton step on the logarithm of the blurred map (Zhang et al. 2020, eq. 9 and 10); 3 the same on 3 x 3 px,
// clipped to [floor, ceiling] (Huang et al. 2020). For 2 and 3 the (5 + 2 radius)^2 px around the maximum are
// blurred in shared memory, first along y, then along x; each warp ends with the 5 x 5 px in its lanes, so that
// no more barrier is needed. The published scaling of the blurred map to its old maximum is a constant after
// the logarithm unless a value meets the clip; only then is the whole map blurred, in strips, to learn its
// maximum.
#include "pose.cuh"

constexpr int THREADS = 128;
constexpr int WARPS = THREADS / 32;
constexpr int MAX_RADIUS = 16;
constexpr int MAX_SIDE = 5 + 2 * MAX_RADIUS;
constexpr int STRIP_ROWS = 16;
constexpr int STRIP_COLUMNS = 32;
static_assert(STRIP_ROWS * (STRIP_COLUMNS + 2 * MAX_RADIUS) <= MAX_SIDE * MAX_SIDE, "a strip must fit");

constexpr int QUARTER = 1;
constexpr int DARK = 2;
constexpr int UDP = 3;

constexpr float FLOAT_EPSILON = 1.1920929e-7f;

struct Decoder {
    int method;
    int radius;
    float floor;
    float ceiling;
    float max_shift;
};

// One map, or the mean of one and its partner of the mirrored crop.
template <typename T>
struct Map {
    const T* plain;
    const T* mirror;  // null without
    int height;
    int width;
    int shift;

    __device__ float at(int y, int x) const {
        const float value = to_float(plain[y * width + x]);
        if (mirror == nullptr) return value;
        const int from = shift ? (x == 0 ? width - 1 : width - x) : width - 1 - x;
        return (value + to_float(mirror[y * width + from])) * 0.5f;
    }

    __device__ float at_or_zero(int y, int x) const {
        return y >= 0 && y < height && x >= 0 && x < width ? at(y, x) : 0.0f;
    }
};

// The largest value a thread has seen, as `ordered_bits`, and where it came first.
struct Best {
    unsigned bits = 0;
    unsigned place = 0;

    __device__ void see(float value, unsigned where) {
        const unsigned other = ordered_bits(value);
        if (other > bits) {
            bits = other;
            place = where;
        }
    }
};

// 16 bytes of a map in its order.
__device__ inline void see_packed(Best& best, const int4& packed, unsigned first, const float*) {
    best.see(__int_as_float(packed.x), first);
    best.see(__int_as_float(packed.y), first + 1);
    best.see(__int_as_float(packed.z), first + 2);
    best.see(__int_as_float(packed.w), first + 3);
}

__device__ inline void see_pair(Best& best, int packed, unsigned first) {
    best.see(to_float(Half{static_cast<unsigned short>(packed)}), first);
    best.see(to_float(Half{static_cast<unsigned short>(static_cast<unsigned>(packed) >> 16)}), first + 1);
}

__device__ inline void see_packed(Best& best, const int4& packed, unsigned first, const Half*) {
    see_pair(best, packed.x, first);
    see_pair(best, packed.y, first + 2);
    see_pair(best, packed.z, first + 4);
    see_pair(best, packed.w, first + 6);
}

// The largest key of the block, in every thread. A barrier must lie between two calls.
__device__ inline u64 block_max(u64 key) {
    __shared__ u64 keys[WARPS];
    key = warp_max(key);
    if (threadIdx.x % 32 == 0) keys[threadIdx.x / 32] = key;
    __syncthreads();
    for (int warp = 0; warp < WARPS; ++warp) key = keys[warp] > key ? keys[warp] : key;
    return key;
}

// Where the first maximum lies, y * width + x, in every thread.
template <typename T>
__device__ inline int find_maximum(const Map<T>& map) {
    const unsigned pixels = static_cast<unsigned>(map.height * map.width);
    Best best;
    unsigned done = 0;
    if (map.mirror == nullptr && reinterpret_cast<u64>(map.plain) % 16 == 0) {
        constexpr unsigned each = 16 / sizeof(T);
        const int4* packed = reinterpret_cast<const int4*>(map.plain);
#pragma unroll 4
        for (unsigned index = threadIdx.x; index < pixels / each; index += THREADS)
            see_packed(best, __ldg(packed + index), index * each, map.plain);
        done = pixels / each * each;
    }
#pragma unroll 4
    for (unsigned place = done + threadIdx.x; place < pixels; place += THREADS)
        best.see(map.at(place / map.width, place % map.width), place);
    return static_cast<int>(key_place(block_max(static_cast<u64>(best.bits) << 32 | ~best.place)));
}

// The largest value of the whole blurred map, zeros outside it, in every thread.
template <typename T>
__device__ inline float blurred_maximum(const Map<T>& map, const float* weights, int radius, float* strip) {
    const int columns = STRIP_COLUMNS + 2 * radius, taps = 2 * radius + 1;
    unsigned largest = 0;
    for (int top = 0; top < map.height; top += STRIP_ROWS)
        for (int left = 0; left < map.width; left += STRIP_COLUMNS) {
            __syncthreads();
            for (int index = threadIdx.x; index < STRIP_ROWS * columns; index += THREADS) {
                const int y = top + index / columns - radius, x = left + index % columns - radius;
                float sum = 0.0f;
                for (int tap = 0; tap < taps; ++tap) sum += weights[tap] * map.at_or_zero(y + tap, x);
                strip[index] = sum;
            }
            __syncthreads();
            for (int index = threadIdx.x; index < STRIP_ROWS * STRIP_COLUMNS; index += THREADS) {
                const int row = index / STRIP_COLUMNS, column = index % STRIP_COLUMNS;
                if (top + row >= map.height || left + column >= map.width) continue;
                const float* from = strip + row * columns + column;
                float sum = 0.0f;
                for (int tap = 0; tap < taps; ++tap) sum += weights[tap] * from[tap];
                largest = max(largest, ordered_bits(sum));
            }
        }
    return from_ordered_bits(static_cast<unsigned>(block_max(static_cast<u64>(largest) << 32) >> 32));
}

// A quarter px toward the higher neighbours, which must lie inside the map; 0 on ties.
template <typename T>
__device__ inline float2 quarter_step(const Map<T>& map, int x, int y) {
    const float left = map.at(y, x - 1), right = map.at(y, x + 1);
    const float above = map.at(y - 1, x), below = map.at(y + 1, x);
    return {right > left ? 0.25f : right < left ? -0.25f : 0.0f,
            below > above ? 0.25f : below < above ? -0.25f : 0.0f};
}

// The step from 5 x 5 logarithms, that of row r and column c in lane 5 r + c.
__device__ inline float2 taylor_step(float logarithm, int method) {
    const auto near = [&](int right, int down) {
        return __shfl_sync(0xffffffffu, logarithm, 5 * (2 + down) + 2 + right);
    };
    const float here = near(0, 0);
    const float left = near(-1, 0), right = near(1, 0), above = near(0, -1), below = near(0, 1);
    const float left_above = near(-1, -1), right_above = near(1, -1);
    const float left_below = near(-1, 1), right_below = near(1, 1);
    const float left2 = near(-2, 0), right2 = near(2, 0), above2 = near(0, -2), below2 = near(0, 2);
    const float dx = (right - left) / 2.0f, dy = (below - above) / 2.0f;
    if (method == DARK) {
        const float dxx = (right2 - 2.0f * here + left2) / 4.0f, dyy = (below2 - 2.0f * here + above2) / 4.0f;
        return newton_step(dx, dy, dxx, dyy, (right_below - right_above - left_below + left_above) / 4.0f);
    }
    const float dxy = (right_below - right - below + 2.0f * here - left - above + left_above) / 2.0f;
    return newton_step(dx, dy, right - 2.0f * here + left + FLOAT_EPSILON,
                       below - 2.0f * here + above + FLOAT_EPSILON, dxy);
}

// The step of dark and udp from the maximum at (x, y); the whole block must call it.
template <typename T>
__device__ inline float2 blurred_step(const Map<T>& map, const float* blur, const Decoder& decoder, int x,
                                    int y, float maximum) {
    __shared__ float weights[2 * MAX_RADIUS + 1];
    __shared__ float window[MAX_SIDE * MAX_SIDE];
    __shared__ float blurred_down[5 * MAX_SIDE];
    const int radius = decoder.radius, taps = 2 * radius + 1, side = 5 + 2 * radius, reach = 2 + radius;
    for (int tap = threadIdx.x; tap < taps; tap += THREADS) weights[tap] = blur[tap];
    for (int index = threadIdx.x; index < side * side; index += THREADS)
        window[index] = map.at_or_zero(y - reach + index / side, x - reach + index % side);
    __syncthreads();
    for (int index = threadIdx.x; index < 5 * side; index += THREADS) {
        const float* column = window + index;
        float sum = 0.0f;
        for (int tap = 0; tap < taps; ++tap) sum += weights[tap] * column[tap * side];
        blurred_down[index] = sum;
    }
    __syncthreads();
    // Beyond the map its border is replicated. Lanes 25 to 31 repeat the last px.
    const int lane = min(static_cast<int>(threadIdx.x % 32), 24);
    const int row = clamp(y + lane / 5 - 2, 0, map.height - 1) - y + 2;
    const int column = clamp(x + lane % 5 - 2, 0, map.width - 1) - x + 2;
    float value = 0.0f;
    for (int tap = 0; tap < taps; ++tap) value += weights[tap] * blurred_down[row * side + column + tap];
    if (!(__all_sync(0xffffffffu, value > decoder.floor) && maximum < decoder.ceiling)) {
        const float top = blurred_maximum(map, weights, radius, window);
        if (top != 0.0f) value *= maximum / top;
    }
    value = value < decoder.floor ? decoder.floor : value > decoder.ceiling ? decoder.ceiling : value;
    return taylor_step(logf(value), decoder.method);
}

template <typename T>
__device__ inline void decode_map(const Map<T>& map, const float* blur, const Decoder& decoder,
                                  float* target) {
    const int place = find_maximum(map);
    int x = place % map.width, y = place / map.width;
    const float maximum = map.at(y, x);
    float2 step = {0.0f, 0.0f};
    const bool found = maximum > 0.0f && maximum < POSE_INFINITY;
    if (!found) x = y = 0;
    // Column 1 is out and column W - 2 is in for quarter: the published inequalities are not symmetric.
    const int low = decoder.method == UDP ? 0 : 2;
    const int high = decoder.method == UDP ? 1 : decoder.method == DARK ? 3 : 2;
    const bool inside = x >= low && x <= map.width - high && y >= low && y <= map.height - high;
    if (found && inside && decoder.method == QUARTER) step = quarter_step(map, x, y);
    if (found && inside && decoder.method >= DARK) step = blurred_step(map, blur, decoder, x, y, maximum);
    if (!(fabsf(step.x) <= decoder.max_shift && fabsf(step.y) <= decoder.max_shift)) step = {0.0f, 0.0f};
    if (threadIdx.x == 0) {
        target[0] = static_cast<float>(x) + step.x;
        target[1] = static_cast<float>(y) + step.y;
        target[2] = maximum;
    }
}

template <typename T>
__device__ inline void decode_row(const T* heatmaps, const int* count, const int* flip_index,
                                  const float* blur, float* target, int capacity, int height, int width,
                                  int mirrored, int shift, const Decoder& decoder) {
    const u64 row = blockIdx.y, keypoint = blockIdx.x, keypoints = gridDim.x;
    if (row < static_cast<u64>(max(*count, 0))) {  // alike for the whole block
        const u64 pixels = static_cast<u64>(height) * width;
        Map<T> map = {heatmaps + (row * keypoints + keypoint) * pixels, nullptr, height, width, shift};
        if (mirrored) map.mirror = heatmaps + ((capacity + row) * keypoints + flip_index[keypoint]) * pixels;
        decode_map(map, blur, decoder, target + (row * keypoints + keypoint) * 3);
    }
}

extern "C" __global__ void __launch_bounds__(128, 8) peaks_topdown_f32(
    const float* __restrict__ heatmaps, const int* __restrict__ count, const int* __restrict__ flip_index,
    const float* __restrict__ blur, float* __restrict__ target, int capacity, int height, int width,
    int mirrored, int shift, int method, int radius, float floor, float ceiling, float max_shift) {
    decode_row(heatmaps, count, flip_index, blur, target, capacity, height, width, mirrored, shift,
               {method, radius, floor, ceiling, max_shift});
}

extern "C" __global__ void __launch_bounds__(128, 8) peaks_topdown_f16(
    const Half* __restrict__ heatmaps, const int* __restrict__ count, const int* __restrict__ flip_index,
    const float* __restrict__ blur, float* __restrict__ target, int capacity, int height, int width,
    int mirrored, int shift, int method, int radius, float floor, float ceiling, float max_shift) {
    decode_row(heatmaps, count, flip_index, blur, target, capacity, height, width, mirrored, shift,
               {method, radius, floor, ceiling, max_shift});
}
