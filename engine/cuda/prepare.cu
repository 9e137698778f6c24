// Crops, or one letterboxed frame, made into the network's input: what engine.prepare.warp_into does, for all
// boxes of a frame at once.
//
//   view      one FrameView, read on the device, so that a captured launch serves every frame
//   matrices  (capacity, 6) float32, from input px to frame px, as prepare.pack_matrices makes them
//   count     how many matrices are in use; rows from there on are written 0
//   inputs    (capacity, 3, height, width) in fp32 or fp16, height x width the size of the input; mirrored:
//             (2 capacity, 3, height, width), row capacity + n holding row n with left and right exchanged
//   rgb       0 leaves the colours in the frame's order, BGR; multiplier_c and offset_c are of the input's
//             channel c, for colours 0..255
//
// An input px (x, y) lies at (xx x + (xy y + x0), yx x + (yy y + y0)) in the frame. All is float32, each
// product and sum rounded, but for the outer product and sum, which are fused; the interpolation goes along x
// first, each step one fused multiply-add, and its result is rounded to a grey level, ties to even. So OpenCV
// 5 computes warpAffine on CPUs with fused multiply-adds, and the grey levels are equal, not merely near.
// What lies outside the frame is black.
//
// Mapping: a thread makes two neighbouring px of one row in all three colours; pairs are numbered through the
// picture along x, blocks along y number the crops. With one instruction a warp then reads up to 64
// neighbouring px and stores 128 (fp16) or 256 (fp32) contiguous bytes. Two neighbours in a row of the frame
// are six bytes at any address: three aligned words that never reach beyond the row replace six loads of
// bytes. The frame is read through L1 and L2, in which one of 1080p stays; no shared memory, no barrier, no
// arithmetic in double precision.
//
// Floor: bytes over bandwidth. 32 crops of 256 x 192 from a 1080p frame write 9.4 MB (fp16) and read at most
// 6.2 MB: 3.3 us at the 4.8 TB/s of an H200. The instructions, counted in the code at some 150 per px, keep
// its schedulers busy for about 8 us, so that they and not the memory decide.
#include "pose.cuh"

#define BLOCK 256

// Two neighbouring px of the frame, six bytes: b g r b, then g r.
struct PixelPair {
    unsigned low;
    unsigned high;
};

__device__ inline PixelPair read_pair(const FrameView& frame, int x, int y) {
    PixelPair pair = {0, 0};
    if (y < 0 || y >= frame.height) return pair;
    const u64 place = frame.pixels + static_cast<u64>(y) * frame.pitch + static_cast<u64>(3ll * x);
    if (x >= 1 && x < frame.width - 2) {  // a px on either side: whole words stay within the row
        const unsigned* words = reinterpret_cast<const unsigned*>(place & ~3ull);
        const unsigned* last = reinterpret_cast<const unsigned*>((place + 5) & ~3ull);
        const unsigned first_word = __ldg(words), middle = __ldg(words + 1), last_word = __ldg(last);
        const unsigned shift = 8 * static_cast<unsigned>(place & 3);
        pair.low = __funnelshift_r(first_word, middle, shift);
        pair.high = __funnelshift_r(middle, last_word, shift);
        return pair;
    }
    const unsigned char* bytes = reinterpret_cast<const unsigned char*>(place);
    if (x >= 0 && x < frame.width) {
        const unsigned blue = bytes[0], green = bytes[1], red = bytes[2];
        pair.low = blue | green << 8 | red << 16;
    }
    if (x >= -1 && x < frame.width - 1) {
        const unsigned blue = bytes[3], green = bytes[4], red = bytes[5];
        pair.low |= blue << 24;
        pair.high = green | red << 8;
    }
    return pair;
}

// 2^23 plus colour 0, 1 or 2 of the left (0) or right (1) px: bytes are permuted under the exponent of 2^23,
// since most GPUs convert integers at a quarter of the rate at which they do all else.
__device__ inline float biased_colour(const PixelPair& pair, int right, int channel) {
    const int byte = 3 * right + channel;
    const unsigned word = byte < 4 ? pair.low : pair.high;
    return __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7650u + byte % 4));
}

__device__ inline float mix_pair(const PixelPair& pair, int channel, float share) {
    const float left = biased_colour(pair, 0, channel), right = biased_colour(pair, 1, channel);
    return fmaf(share, right - left, left - 8388608.0f);
}

// Grey levels b, g, r of one input px. The clamps keep far places, and those that are no number, outside the
// frame and within int.
__device__ inline void sample(const FrameView& frame, const float* matrix, int x, int y, float* colours) {
    const float across = static_cast<float>(x), down = static_cast<float>(y);
    const float row_x = __fadd_rn(__fmul_rn(matrix[1], down), matrix[2]);
    const float row_y = __fadd_rn(__fmul_rn(matrix[4], down), matrix[5]);
    const float at_x = fminf(fmaxf(fmaf(matrix[0], across, row_x), -2.0f), static_cast<float>(frame.width));
    const float at_y = fminf(fmaxf(fmaf(matrix[3], across, row_y), -2.0f), static_cast<float>(frame.height));
    const float left = floorf(at_x), top = floorf(at_y);
    const float share_x = at_x - left, share_y = at_y - top;
    const int column = static_cast<int>(left), row = static_cast<int>(top);
    const PixelPair upper = read_pair(frame, column, row), lower = read_pair(frame, column, row + 1);
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        const float above = mix_pair(upper, channel, share_x), below = mix_pair(lower, channel, share_x);
        colours[channel] = rintf(fmaf(share_y, below - above, above));
    }
}

__device__ inline void store_two(float* place, float first, float second) {
    *reinterpret_cast<float2*>(place) = make_float2(first, second);
}

__device__ inline void store_two(Half* place, float first, float second) {
    Half halves[2];
    store(&halves[0], first);
    store(&halves[1], second);
    ushort2 both;
    both.x = halves[0].bits;
    both.y = halves[1].bits;
    *reinterpret_cast<ushort2*>(place) = both;
}

// Writes px x and x + 1 of a row; in a row of odd width px are not aligned in pairs and the last stands
// alone.
template <typename T>
__device__ inline void store_px(T* row, int x, int width, float first, float second) {
    if (width % 2 == 0) {
        store_two(row + x, first, second);
        return;
    }
    store(row + x, first);
    if (x + 1 < width) store(row + x + 1, second);
}

template <typename T>
__device__ inline void store_mirrored(T* row, int x, int width, float first, float second) {
    if (width % 2 == 0) {
        store_two(row + width - 2 - x, second, first);
        return;
    }
    store(row + width - 1 - x, first);
    if (x + 1 < width) store(row + width - 2 - x, second);
}

template <typename T>
__device__ inline void prepare(
    const FrameView* view, const float* matrices, const int* count, T* inputs, int capacity, int height,
    int width, int mirrored, int rgb, const float* multiplier, const float* offset) {
    const int pairs = (width + 1) / 2;
    const int index = static_cast<int>(blockIdx.x * BLOCK + threadIdx.x);
    const int y = index / pairs, x = 2 * (index - y * pairs);
    const int crop = static_cast<int>(blockIdx.y);
    if (y >= height) return;
    float values[2][3] = {};
    if (crop < *count) {
        const FrameView frame = *view;
        float matrix[6];
#pragma unroll
        for (int entry = 0; entry < 6; ++entry) matrix[entry] = __ldg(matrices + 6 * crop + entry);
#pragma unroll
        for (int px = 0; px < 2; ++px) {
            float colours[3];
            sample(frame, matrix, x + px, y, colours);
#pragma unroll
            for (int channel = 0; channel < 3; ++channel) {
                const float colour = rgb ? colours[2 - channel] : colours[channel];
                values[px][channel] = __fadd_rn(__fmul_rn(colour, multiplier[channel]), offset[channel]);
            }
        }
    }
    const u64 plane = static_cast<u64>(height) * width;
#pragma unroll
    for (int channel = 0; channel < 3; ++channel) {
        T* row = inputs + (3ull * crop + channel) * plane + static_cast<u64>(y) * width;
        store_px(row, x, width, values[0][channel], values[1][channel]);
        if (mirrored) {
            store_mirrored(row + 3ull * capacity * plane, x, width, values[0][channel], values[1][channel]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK) prepare_f32(
    const FrameView* view, const float* matrices, const int* count, float* inputs, int capacity, int height,
    int width, int mirrored, int rgb, float multiplier_0, float multiplier_1, float multiplier_2,
    float offset_0, float offset_1, float offset_2) {
    const float multiplier[3] = {multiplier_0, multiplier_1, multiplier_2};
    const float offset[3] = {offset_0, offset_1, offset_2};
    prepare(view, matrices, count, inputs, capacity, height, width, mirrored, rgb, multiplier, offset);
}

extern "C" __global__ void __launch_bounds__(BLOCK) prepare_f16(
    const FrameView* view, const float* matrices, const int* count, Half* inputs, int capacity, int height,
    int width, int mirrored, int rgb, float multiplier_0, float multiplier_1, float multiplier_2,
    float offset_0, float offset_1, float offset_2) {
    const float multiplier[3] = {multiplier_0, multiplier_1, multiplier_2};
    const float offset[3] = {offset_0, offset_1, offset_2};
    prepare(view, matrices, count, inputs, capacity, height, width, mirrored, rgb, multiplier, offset);
}
