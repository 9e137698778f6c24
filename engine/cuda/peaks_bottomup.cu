// Peaks of the heatmaps of a whole frame, with their sub-pixel places and tags.
//
// Input: up to three heatmap outputs (B, K, H, W) of different strides, B = 2 where row 1 belongs to the
// mirrored picture, and up to three tag outputs (B, K or 1, Ht, Wt) of which row 0 is read; fp16 or fp32.
// The merged map, the mean of the outputs at the finest size (Cheng et al. 2020, section 3.4), is worked out
// wherever it is needed and never written. Three kernels, one after another on a stream:
//
//   candidates  grid (W / 32, H / 32, K), 256 threads. A block holds a tile of the merged map and its halo in
//               shared memory. A px is a candidate if it is above the threshold, none of its 5x5 square is
//               higher and none before it (C order) is as high; any two are at least 3 px apart, so that no
//               more than ceil(H / 3) * ceil(W / 3) of a keypoint exist. Also the maximum of each merged map
//               and of the same map blurred, which scales the windows of DARK and UDP.
//   select      grid (K), 256 threads. The highest candidates of a keypoint, sorted. Candidates come in any
//               order; their keys are unique, so the result is always the same.
//   refine      grid (M, K), 128 threads, one block for a peak. Blurs the 5x5 window around it, steps to the
//               sub-pixel place (Sun et al. 2019; Zhang et al. 2020, eq. 9 and 10; Huang et al. 2020) and
//               reads the tags.
//
// State, (3, K) unsigned, zero before `candidates`: number of candidates, maximum, blurred maximum (as
// `ordered_bits`). Result: maxima (K) as `ordered_bits`, counts (K) int, then rows (K, M, 5 + L) float of
// x, y, score, sub-pixel x, sub-pixel y, tags; unused rows are 0.
//
// Floor for 17x256x256 and 17x128x128 in fp16: 2.8 MB, 0.6 us at 4.8 TB/s. The blur with radius 5 reads about
// 30 values of shared memory per px, 33 million in all: 5 us at 132 x 32 values per clock of 1.7 GHz. Three
// launches and one clearing of memory in a graph: about 2 us each.
#include "pose.cuh"

constexpr int TILE = 32;
constexpr int THREADS = 256;
constexpr int REFINE_THREADS = 128;
constexpr int REACH = 2;        // of the square in which a peak is the maximum, and of the window around it
constexpr int WINDOW = 2 * REACH + 1;
constexpr int MAX_RADIUS = 12;  // of the blur
constexpr int MAX_SIDE = TILE + 2 * MAX_RADIUS;
constexpr int MAX_PATCH = WINDOW + 2 * MAX_RADIUS;
constexpr int MAX_TAGS = 3;
constexpr int MAX_PEOPLE = 256;
constexpr int POOL = MAX_PEOPLE + 2 * THREADS;

// Methods; any other leaves peaks at whole px.
constexpr int QUARTER = 1;
constexpr int DARK = 2;
constexpr int UDP = 3;
constexpr int FLOORED_QUARTER = 4;  // of targets that are floored: half a px is added

// One map of an output. mirrored: its counterpart in the mirrored picture, null where there is none.
// step_y, step_x: px of it per px of the finest map.
template <typename T>
struct Plane {
    const T* values;
    const T* mirrored;
    int height;
    int width;
    float step_y;
    float step_x;
};

// The maps of one keypoint, the finest first, then from coarse to fine.
template <typename T>
struct Maps {
    Plane<T> finest;
    Plane<T> coarse;
    Plane<T> middle;
    bool corners;  // whether corner px lie on corner px, as in the udp convention
};

// The two px between which a place lies, and its share of the way from the lower to the higher.
struct Between {
    int low;
    int high;
    float share;
};

__device__ inline Between between(int place, float step, int size, bool corners) {
    const float along = static_cast<float>(place);
    float at = corners ? __fmul_rn(along, step) : __fsub_rn(__fmul_rn(along + 0.5f, step), 0.5f);
    at = fminf(fmaxf(at, 0.0f), static_cast<float>(size - 1));
    const int low = static_cast<int>(at);
    return {low, min(low + 1, size - 1), at - static_cast<float>(low)};
}

__device__ inline float step_between(int size, int finest, bool corners) {
    if (corners) return __fdiv_rn(static_cast<float>(size - 1), static_cast<float>(max(finest - 1, 1)));
    return __fdiv_rn(static_cast<float>(size), static_cast<float>(finest));
}

// As OpenCV interpolates, and flat stays flat.
__device__ inline float mix(float a, float b, float share) { return __fmaf_rn(__fsub_rn(b, a), share, a); }

template <typename T>
__device__ Plane<T> make_plane(const T* output, int height, int width, int channel, int mirrored_channel,
                               int finest_height, int finest_width, bool corners) {
    const long long area = static_cast<long long>(height) * width;
    return {output + channel * area,
            mirrored_channel < 0 ? nullptr : output + mirrored_channel * area,
            height,
            width,
            step_between(height, finest_height, corners),
            step_between(width, finest_width, corners)};
}

template <typename T>
__device__ inline float value_at(const Plane<T>& plane, int y, int x) {
    const float value = to_float(plane.values[y * plane.width + x]);
    if (plane.mirrored == nullptr) return value;
    const float other = to_float(plane.mirrored[y * plane.width + plane.width - 1 - x]);
    return __fmul_rn(__fadd_rn(value, other), 0.5f);
}

// The value between four px.
template <typename Read>
__device__ inline float interpolated(const Between& down, const Between& across, Read at) {
    const float above = mix(at(down.low, across.low), at(down.low, across.high), across.share);
    const float below = mix(at(down.high, across.low), at(down.high, across.high), across.share);
    return mix(above, below, down.share);
}

// The value at (y, x) of the map upsampled to (height, width).
template <typename T>
__device__ inline float upsampled(const Plane<T>& plane, int y, int x, int height, int width, bool corners) {
    if (plane.height == height && plane.width == width) return value_at(plane, y, x);
    const Between down = between(y, plane.step_y, plane.height, corners);
    const Between across = between(x, plane.step_x, plane.width, corners);
    return interpolated(down, across, [&](int row, int column) { return value_at(plane, row, column); });
}

template <typename T>
__device__ inline float merged_value(const Maps<T>& maps, int y, int x) {
    const Plane<T>& finest = maps.finest;
    const float fine = value_at(finest, y, x);
    if (maps.coarse.values == nullptr) return fine;
    float total = upsampled(maps.coarse, y, x, finest.height, finest.width, maps.corners);
    if (maps.middle.values == nullptr) return __fmul_rn(__fadd_rn(total, fine), 0.5f);
    total = __fadd_rn(total, upsampled(maps.middle, y, x, finest.height, finest.width, maps.corners));
    return __fmul_rn(__fadd_rn(total, fine), 1.0f / 3.0f);
}

template <typename T>
__device__ Maps<T> maps_of(int keypoint, int keypoints, const int* flip_index, int corners, const T* finest,
                           int height, int width, const T* coarse, int coarse_height, int coarse_width,
                           const T* middle, int middle_height, int middle_width) {
    const int mirrored = flip_index == nullptr ? -1 : keypoints + flip_index[keypoint];
    Maps<T> maps = {};
    maps.corners = corners != 0;
    maps.finest = make_plane(finest, height, width, keypoint, mirrored, height, width, maps.corners);
    if (coarse != nullptr)
        maps.coarse =
            make_plane(coarse, coarse_height, coarse_width, keypoint, mirrored, height, width, maps.corners);
    if (middle != nullptr)
        maps.middle =
            make_plane(middle, middle_height, middle_width, keypoint, mirrored, height, width, maps.corners);
    return maps;
}

// Whether no px of the 5x5 square is higher and none before the centre is as high.
__device__ inline bool is_first_maximum(const float* centre, int pitch) {
    const float value = *centre;
    if (centre[-1] >= value || centre[1] > value) return false;
    if (centre[-pitch] >= value || centre[pitch] > value) return false;
    for (int dy = -REACH; dy <= REACH; ++dy)
        for (int dx = -REACH; dx <= REACH; ++dx) {
            const float other = centre[dy * pitch + dx];
            const bool earlier = dy < 0 || (dy == 0 && dx < 0);
            if (other > value || (earlier && other == value)) return false;
        }
    return true;
}

// Raises *place to the largest `bits` of the warp.
__device__ inline void raise_to_largest(unsigned* place, unsigned bits) {
    for (int offset = 16; offset > 0; offset /= 2)
        bits = max(bits, __shfl_xor_sync(0xffffffffu, bits, offset));
    if (threadIdx.x % 32 == 0) atomicMax(place, bits);
}

template <typename T>
__device__ void find_candidates(const Maps<T>& maps, float threshold, int radius, const float* weights,
                                unsigned* state, u64* candidates, int capacity) {
    __shared__ float merged[MAX_SIDE * MAX_SIDE];
    __shared__ float rows[MAX_SIDE * TILE];
    __shared__ float kernel[2 * MAX_RADIUS + 1];
    __shared__ unsigned top;
    __shared__ unsigned blurred_top;
    const int thread = threadIdx.x;
    const int keypoint = blockIdx.z;
    const int left = blockIdx.x * TILE;
    const int above = blockIdx.y * TILE;
    const int height = maps.finest.height;
    const int width = maps.finest.width;
    const int halo = max(REACH, radius);
    const int side = TILE + 2 * halo;
    if (thread == 0) {
        top = 0;
        blurred_top = 0;
    }
    if (radius > 0 && thread <= 2 * radius) kernel[thread] = weights[thread];
    for (int index = thread; index < side * side; index += THREADS) {
        const int y = above - halo + index / side;
        const int x = left - halo + index % side;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        merged[index] = inside ? merged_value(maps, y, x) : 0.0f;  // below any candidate
    }
    __syncthreads();

    unsigned highest = 0;
    const int column = thread % TILE;
    const int x = left + column;
    for (int row = thread / TILE; row < TILE; row += THREADS / TILE) {
        const int y = above + row;
        if (y >= height || x >= width) continue;
        const float* centre = merged + (row + halo) * side + column + halo;
        highest = max(highest, ordered_bits(*centre));
        if (*centre > threshold && is_first_maximum(centre, side)) {
            const unsigned slot = atomicAdd(state + keypoint, 1u);
            candidates[static_cast<long long>(keypoint) * capacity + slot] = peak_key(*centre, y * width + x);
        }
    }
    raise_to_largest(&top, highest);

    if (radius > 0) {
        for (int index = thread; index < (TILE + 2 * radius) * TILE; index += THREADS) {
            const int row = index / TILE + halo - radius;
            const float* first = merged + row * side + index % TILE + halo - radius;
            float sum = 0.0f;
            for (int tap = 0; tap <= 2 * radius; ++tap) sum += kernel[tap] * first[tap];
            rows[index] = sum;
        }
        __syncthreads();
        unsigned highest_blurred = 0;
        constexpr int STRIDE = THREADS / TILE;
        constexpr int OUTPUTS = TILE / STRIDE;
        float sums[OUTPUTS] = {};
        const float* first = rows + thread;  // row thread / TILE, column thread % TILE
        for (int tap = 0; tap <= 2 * radius; ++tap)
            for (int output = 0; output < OUTPUTS; ++output)
                sums[output] += kernel[tap] * first[(output * STRIDE + tap) * TILE];
        for (int output = 0; output < OUTPUTS; ++output)
            if (above + thread / TILE + output * STRIDE < height && x < width)
                highest_blurred = max(highest_blurred, ordered_bits(sums[output]));
        raise_to_largest(&blurred_top, highest_blurred);
    }
    __syncthreads();
    if (thread == 0) {
        const int keypoints = gridDim.z;
        atomicMax(state + keypoints + keypoint, top);
        if (radius > 0) atomicMax(state + 2 * keypoints + keypoint, blurred_top);
    }
}

// Sorts the pool, largest first, and cuts it to its `most` first; all threads call it.
__device__ inline int sort_and_cut(u64* pool, u64* sorted, int size, int most) {
    for (int index = threadIdx.x; index < size; index += THREADS) {
        const u64 key = pool[index];
        int rank = 0;
        for (int other = 0; other < size; ++other) rank += pool[other] > key;
        if (rank < most) sorted[rank] = key;
    }
    __syncthreads();
    const int kept = min(size, most);
    for (int index = threadIdx.x; index < kept; index += THREADS) pool[index] = sorted[index];
    __syncthreads();
    return kept;
}

// selected: (K, most) keys, largest first, 0 in unused places.
extern "C" __global__ void __launch_bounds__(256) bottom_up_select(
    const unsigned* state, const u64* candidates, int capacity, int most, u64* selected) {
    __shared__ u64 pool[POOL];
    __shared__ u64 sorted[MAX_PEOPLE];
    __shared__ int filled;
    const int thread = threadIdx.x;
    const int keypoint = blockIdx.x;
    const int total = static_cast<int>(state[keypoint]);
    const u64* mine = candidates + static_cast<long long>(keypoint) * capacity;
    if (thread == 0) filled = 0;
    u64 bar = 0;  // no key up to it has a place among the highest
    int size = 0;
    __syncthreads();
    for (int first = 0; first < total; first += THREADS) {
        if (size + THREADS > POOL) {
            size = sort_and_cut(pool, sorted, size, most);
            if (size == most) bar = sorted[most - 1];
            if (thread == 0) filled = size;
            __syncthreads();
        }
        const u64 key = first + thread < total ? mine[first + thread] : 0;
        if (key > bar) pool[atomicAdd(&filled, 1)] = key;
        __syncthreads();
        size = filled;
        __syncthreads();
    }
    size = sort_and_cut(pool, sorted, size, most);
    for (int index = thread; index < most; index += THREADS)
        selected[static_cast<long long>(keypoint) * most + index] = index < size ? sorted[index] : 0;
}

// What the sub-pixel step goes by, and limits of its windows and length.
struct Step {
    int method;
    int radius;
    float floor;
    float ceiling;
    float max_shift;
    float offset;  // added to the place
};

// From the 5x5 logarithms around a peak; second differences at distance 2 (Zhang et al. 2020).
__device__ inline float2 dark_step(const float* logs) {
    const float* centre = logs + REACH * WINDOW + REACH;
    const float dxy =
        (centre[WINDOW + 1] - centre[1 - WINDOW] - centre[WINDOW - 1] + centre[-WINDOW - 1]) / 4;
    return newton_step((centre[1] - centre[-1]) / 2, (centre[WINDOW] - centre[-WINDOW]) / 2,
                       (centre[2] - 2 * centre[0] + centre[-2]) / 4,
                       (centre[2 * WINDOW] - 2 * centre[0] + centre[-2 * WINDOW]) / 4, dxy);
}

// From their inner 3x3, regularised by the machine epsilon (Huang et al. 2020, in the form of mmpose 1.x).
__device__ inline float2 udp_step(const float* logs) {
    const float* centre = logs + REACH * WINDOW + REACH;
    const float here = centre[0], right = centre[1], left = centre[-1], below = centre[WINDOW],
                above = centre[-WINDOW];
    constexpr float EPSILON = 1.1920929e-7f;
    const float dxy =
        (centre[WINDOW + 1] - right - below + 2 * here - left - above + centre[-WINDOW - 1]) / 2;
    return newton_step((right - left) / 2, (below - above) / 2, right - 2 * here + left + EPSILON,
                       below - 2 * here + above + EPSILON, dxy);
}

__device__ inline float sign(float value) { return value > 0.0f ? 1.0f : value < 0.0f ? -1.0f : 0.0f; }

// A quarter px toward the higher neighbour on each axis; the inequalities are those published.
template <typename T>
__device__ float2 quarter_step(const Maps<T>& maps, int y, int x, bool floored) {
    const int height = maps.finest.height;
    const int width = maps.finest.width;
    if (!floored && (x < 2 || y < 2 || x > width - 2 || y > height - 2)) return make_float2(0.0f, 0.0f);
    const float across = merged_value(maps, y, min(x + 1, width - 1)) - merged_value(maps, y, max(x - 1, 0));
    const float down = merged_value(maps, min(y + 1, height - 1), x) - merged_value(maps, max(y - 1, 0), x);
    if (floored) return make_float2(across > 0.0f ? 0.75f : 0.25f, down > 0.0f ? 0.75f : 0.25f);
    return make_float2(0.25f * sign(across), 0.25f * sign(down));
}

// The Newton step on the logarithm of the blurred map; all threads call it, thread 0 gets the step.
template <typename T>
__device__ float2 blurred_step(const Maps<T>& maps, int y, int x, float score, const Step& step,
                               const float* weights, float top, float blurred_top) {
    __shared__ float patch[MAX_PATCH * MAX_PATCH];
    __shared__ float rows[WINDOW * MAX_PATCH];
    __shared__ float window[WINDOW * WINDOW];
    __shared__ float logs[WINDOW * WINDOW];
    const int thread = threadIdx.x;
    const int radius = step.radius;
    const int side = WINDOW + 2 * radius;
    const int height = maps.finest.height;
    const int width = maps.finest.width;
    for (int index = thread; index < side * side; index += REFINE_THREADS) {
        const int row = y - REACH - radius + index / side;
        const int column = x - REACH - radius + index % side;
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        patch[index] = inside ? merged_value(maps, row, column) : 0.0f;
    }
    __syncthreads();
    for (int index = thread; index < WINDOW * side; index += REFINE_THREADS) {
        float sum = 0.0f;
        for (int tap = 0; tap <= 2 * radius; ++tap) sum += weights[tap] * patch[index + tap * side];
        rows[index] = sum;
    }
    __syncthreads();
    if (thread < WINDOW * WINDOW) {
        const float* first = rows + thread / WINDOW * side + thread % WINDOW;
        float sum = 0.0f;
        for (int tap = 0; tap <= 2 * radius; ++tap) sum += weights[tap] * first[tap];
        window[thread] = sum;
    }
    __syncthreads();
    if (thread < 32) {
        const bool used = thread < WINDOW * WINDOW;
        // Beyond a border the window repeats it.
        const int row = clamp(y - REACH + thread / WINDOW, 0, height - 1) - y + REACH;
        const int column = clamp(x - REACH + thread % WINDOW, 0, width - 1) - x + REACH;
        float value = used ? window[row * WINDOW + column] : POSE_INFINITY;
        // Each blurred map is scaled to its old maximum. Only a value that meets a limit can tell.
        const bool unsure = __any_sync(0xffffffffu, !(value > step.floor)) || !(score < step.ceiling);
        if (unsure && blurred_top != 0.0f)
            value *= static_cast<float>(static_cast<double>(top) / static_cast<double>(blurred_top));
        if (used) logs[thread] = logf(fminf(fmaxf(value, step.floor), step.ceiling));
    }
    __syncthreads();
    const int border = step.method == DARK ? REACH : 0;
    const bool inside = x >= border && y >= border && x < width - border && y < height - border;
    if (!inside) return make_float2(0.0f, 0.0f);
    return step.method == UDP ? udp_step(logs) : dark_step(logs);
}

// The tag between two, rounded after every step as on the host: where two pairings of peaks and people cost
// the same, the last bit decides.
__device__ inline float mix_tags(float a, float b, float share) {
    return __fadd_rn(__fmul_rn(a, __fsub_rn(1.0f, share)), __fmul_rn(b, share));
}

// One tag output upsampled to the finest of them, and that sampled at a heatmap px.
template <typename T>
__device__ float tag_at(const Plane<T>& tags, int tag_height, int tag_width, int y, int x, int height,
                        int width) {
    const bool same = tag_height == height && tag_width == width;
    if (same) return upsampled(tags, y, x, tag_height, tag_width, false);
    const Between down = between(y, step_between(tag_height, height, false), tag_height, false);
    const Between across = between(x, step_between(tag_width, width, false), tag_width, false);
    const auto at = [&](int row, int column) {
        return upsampled(tags, row, column, tag_height, tag_width, false);
    };
    const float above = mix_tags(at(down.low, across.low), at(down.low, across.high), across.share);
    const float below = mix_tags(at(down.high, across.low), at(down.high, across.high), across.share);
    return mix_tags(above, below, down.share);
}

template <typename T>
__device__ Plane<T> tag_plane(const T* tags, int channels, int height, int width, int tag_height,
                              int tag_width) {
    return make_plane(tags, height, width, channels > 1 ? static_cast<int>(blockIdx.y) : 0, -1, tag_height,
                      tag_width, false);
}

template <typename T>
__device__ void refine_peak(const Maps<T>& maps, const Step& step, const float* weights, const Plane<T>* tags,
                            int tag_count, int tag_height, int tag_width, const unsigned* state,
                            const u64* selected, unsigned* result) {
    const int thread = threadIdx.x;
    const int keypoint = blockIdx.y;
    const int keypoints = gridDim.y;
    const int most = gridDim.x;
    const int peak = keypoint * most + blockIdx.x;
    const int length = 5 + tag_count;
    float* row = reinterpret_cast<float*>(result + 2 * keypoints) + static_cast<long long>(peak) * length;
    const unsigned top_bits = state[keypoints + keypoint];
    if (blockIdx.x == 0 && thread == 0) {
        result[keypoint] = top_bits;
        result[keypoints + keypoint] = min(state[keypoint], static_cast<unsigned>(most));
    }
    const u64 key = selected[peak];
    if (key == 0) {  // for the whole block
        if (thread < length) row[thread] = 0.0f;
        return;
    }
    const float score = from_ordered_bits(static_cast<unsigned>(key >> 32));
    const int width = maps.finest.width;
    const int y = static_cast<int>(key_place(key)) / width;
    const int x = static_cast<int>(key_place(key)) % width;
    float2 shift = make_float2(0.0f, 0.0f);
    if (step.radius > 0) {
        const float blurred_top = from_ordered_bits(state[2 * keypoints + keypoint]);
        shift = blurred_step(maps, y, x, score, step, weights, from_ordered_bits(top_bits), blurred_top);
    } else if (thread == 0 && (step.method == QUARTER || step.method == FLOORED_QUARTER)) {
        shift = quarter_step(maps, y, x, step.method == FLOORED_QUARTER);
    }
    if (thread == 0) {
        const bool trusted = fabsf(shift.x) <= step.max_shift && fabsf(shift.y) <= step.max_shift;
        if (!trusted) shift = make_float2(0.0f, 0.0f);
        row[0] = static_cast<float>(x);
        row[1] = static_cast<float>(y);
        row[2] = score;
        row[3] = static_cast<float>(x) + shift.x + step.offset;
        row[4] = static_cast<float>(y) + shift.y + step.offset;
    }
#pragma unroll
    for (int tag = 0; tag < MAX_TAGS; ++tag)  // one thread of a warp each
        if (tag < tag_count && thread == 32 + 32 * tag)
            row[5 + tag] = tag_at(tags[tag], tag_height, tag_width, y, x, maps.finest.height, width);
}

// The entries. finest, coarse, middle: heatmap outputs, the second and third null where there are fewer.
// flip_index: (K) ints where the outputs hold the mirrored picture, else null. weights: (2 radius + 1) of the
// blur, whose radius is 0 where the method needs none.

extern "C" __global__ void __launch_bounds__(256) bottom_up_candidates_fp32(
    const float* finest, int height, int width, const float* coarse, int coarse_height, int coarse_width,
    const float* middle, int middle_height, int middle_width, const int* flip_index, int corners,
    float threshold, int radius, const float* weights, unsigned* state, u64* candidates, int capacity) {
    const auto maps = maps_of(blockIdx.z, gridDim.z, flip_index, corners, finest, height, width, coarse,
                              coarse_height, coarse_width, middle, middle_height, middle_width);
    find_candidates(maps, threshold, radius, weights, state, candidates, capacity);
}

extern "C" __global__ void __launch_bounds__(256) bottom_up_candidates_fp16(
    const Half* finest, int height, int width, const Half* coarse, int coarse_height, int coarse_width,
    const Half* middle, int middle_height, int middle_width, const int* flip_index, int corners,
    float threshold, int radius, const float* weights, unsigned* state, u64* candidates, int capacity) {
    const auto maps = maps_of(blockIdx.z, gridDim.z, flip_index, corners, finest, height, width, coarse,
                              coarse_height, coarse_width, middle, middle_height, middle_width);
    find_candidates(maps, threshold, radius, weights, state, candidates, capacity);
}

extern "C" __global__ void __launch_bounds__(128) bottom_up_refine_fp32(
    const float* finest, int height, int width, const float* coarse, int coarse_height, int coarse_width,
    const float* middle, int middle_height, int middle_width, const int* flip_index, int corners,
    int method, int radius, const float* weights, float floor, float ceiling, float max_shift, float offset,
    const float* tags0, int channels0, int tag_height0, int tag_width0, const float* tags1, int channels1,
    int tag_height1, int tag_width1, const float* tags2, int channels2, int tag_height2, int tag_width2,
    int tag_count, int tag_height, int tag_width, const unsigned* state, const u64* selected,
    unsigned* result) {
    const auto maps = maps_of(blockIdx.y, gridDim.y, flip_index, corners, finest, height, width, coarse,
                              coarse_height, coarse_width, middle, middle_height, middle_width);
    const Plane<float> tags[MAX_TAGS] = {
        tag_plane(tags0, channels0, tag_height0, tag_width0, tag_height, tag_width),
        tag_plane(tags1, channels1, tag_height1, tag_width1, tag_height, tag_width),
        tag_plane(tags2, channels2, tag_height2, tag_width2, tag_height, tag_width)};
    const Step step = {method, radius, floor, ceiling, max_shift, offset};
    refine_peak(maps, step, weights, tags, tag_count, tag_height, tag_width, state, selected, result);
}

extern "C" __global__ void __launch_bounds__(128) bottom_up_refine_fp16(
    const Half* finest, int height, int width, const Half* coarse, int coarse_height, int coarse_width,
    const Half* middle, int middle_height, int middle_width, const int* flip_index, int corners,
    int method, int radius, const float* weights, float floor, float ceiling, float max_shift, float offset,
    const Half* tags0, int channels0, int tag_height0, int tag_width0, const Half* tags1, int channels1,
    int tag_height1, int tag_width1, const Half* tags2, int channels2, int tag_height2, int tag_width2,
    int tag_count, int tag_height, int tag_width, const unsigned* state, const u64* selected,
    unsigned* result) {
    const auto maps = maps_of(blockIdx.y, gridDim.y, flip_index, corners, finest, height, width, coarse,
                              coarse_height, coarse_width, middle, middle_height, middle_width);
    const Plane<Half> tags[MAX_TAGS] = {
        tag_plane(tags0, channels0, tag_height0, tag_width0, tag_height, tag_width),
        tag_plane(tags1, channels1, tag_height1, tag_width1, tag_height, tag_width),
        tag_plane(tags2, channels2, tag_height2, tag_width2, tag_height, tag_width)};
    const Step step = {method, radius, floor, ceiling, max_shift, offset};
    refine_peak(maps, step, weights, tags, tag_count, tag_height, tag_width, state, selected, result);
}
